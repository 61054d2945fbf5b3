using System.Buffers;
using System.IO.Pipelines;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests;

/// <summary>The ways to flush, and that each byte arrives once and in its place.</summary>
public class OutputTests
{
    // More than both kernels hold: a write of it is blocked until the peer reads.
    private const int LargeBytes = 10_000_000;

    [Fact]
    public async Task LargeWrite_ArrivesInOrder()
    {
        await using var server = await TestServer.StartAsync(
            async connection => await connection.Transport.Output.WriteAsync(Pattern(0, LargeBytes)));
        await using var peer = await server.ConnectAsync();

        await AssertPatternThenEofAsync(peer, LargeBytes);
        peer.HalfClose();
        AssertAllDelivered(await server.NextResultAsync());
    }

    [Fact]
    public async Task ManySmallWritesBeforeOneFlush_ArriveInOrder()
    {
        const int pieceBytes = 1000;
        await using var server = await TestServer.StartAsync(async connection =>
        {
            var output = connection.Transport.Output;
            for (var written = 0; written < LargeBytes; written += pieceBytes)
            {
                Pattern(written, pieceBytes).CopyTo(output.GetMemory(pieceBytes));
                output.Advance(pieceBytes);
            }

            await output.FlushAsync();
        });
        await using var peer = await server.ConnectAsync();

        await AssertPatternThenEofAsync(peer, LargeBytes);
        peer.HalfClose();
        AssertAllDelivered(await server.NextResultAsync());
    }

    [Fact]
    public async Task FlushNotAwaitedBeforeTheNextWrite_LosesNothing()
    {
        const int pieceBytes = 10_000;
        await using var server = await TestServer.StartAsync(async connection =>
        {
            var flush = default(ValueTask<FlushResult>);
            for (var written = 0; written < LargeBytes; written += pieceBytes)
            {
                flush = connection.Transport.Output.WriteAsync(Pattern(written, pieceBytes));
            }

            await flush;
        });
        await using var peer = await server.ConnectAsync();

        await AssertPatternThenEofAsync(peer, LargeBytes);
        peer.HalfClose();
        AssertAllDelivered(await server.NextResultAsync());
    }

    [Fact]
    public async Task TwoFlushesAwaitedAtATime_TheSecondFailsAndLosesNothing()
    {
        var second = new TaskCompletionSource<Exception?>();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            var first = connection.Transport.Output.WriteAsync(Pattern(0, LargeBytes)).AsTask();
            second.SetResult(await Record.ExceptionAsync(
                async () => await connection.SendAsync(LargeBytes)));
            await first;
        });
        await using var peer = await server.ConnectAsync();

        // The peer reads only now, so that both are blocked.
        Assert.IsType<InvalidOperationException>(await second.Task.InTimeAsync());
        Assert.Equal((2 * LargeBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        AssertAllDelivered(await server.NextResultAsync());
    }

    [Fact]
    public async Task BlockedFlush_TokenCancelled_EndsTheWaitAndLosesNothing()
    {
        var blocked = new TaskCompletionSource();
        var wait = new TaskCompletionSource<Exception?>();
        using var cancellation = new CancellationTokenSource();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            var write = connection.Transport.Output.WriteAsync(Pattern(0, LargeBytes), cancellation.Token).AsTask();
            blocked.SetResult();
            wait.SetResult(await Record.ExceptionAsync(() => write));
            await connection.Transport.Output.WriteAsync(Pattern(LargeBytes, 1000));
        });
        await using var peer = await server.ConnectAsync();
        await blocked.Task.InTimeAsync();

        await cancellation.CancelAsync();

        Assert.IsAssignableFrom<OperationCanceledException>(await wait.Task.InTimeAsync());
        await AssertPatternThenEofAsync(peer, LargeBytes + 1000);
        peer.HalfClose();
        AssertAllDelivered(await server.NextResultAsync());
    }

    [Fact]
    public async Task BlockedFlush_CancelPendingFlush_EndsTheWaitAndLosesNothing()
    {
        var blocked = new TaskCompletionSource<ConnectionContext>();
        var isCanceled = new TaskCompletionSource<bool>();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            var write = connection.Transport.Output.WriteAsync(Pattern(0, LargeBytes)).AsTask();
            blocked.SetResult(connection);
            isCanceled.SetResult((await write).IsCanceled);
            await connection.Transport.Output.WriteAsync(Pattern(LargeBytes, 1000));
        });
        await using var peer = await server.ConnectAsync();

        (await blocked.Task.InTimeAsync()).Transport.Output.CancelPendingFlush();

        Assert.True(await isCanceled.Task.InTimeAsync());
        await AssertPatternThenEofAsync(peer, LargeBytes + 1000);
        peer.HalfClose();
        AssertAllDelivered(await server.NextResultAsync());
    }

    [Fact]
    public async Task Write_TokenCancelledBefore_SendsNothingOfIt()
    {
        var exception = new TaskCompletionSource<Exception?>();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            exception.SetResult(await Record.ExceptionAsync(async () =>
                await connection.Transport.Output.WriteAsync(Pattern(0, 1000), new CancellationToken(canceled: true))));
            await connection.Transport.Output.WriteAsync(Pattern(0, 500));
        });
        await using var peer = await server.ConnectAsync();

        await AssertPatternThenEofAsync(peer, 500);
        peer.HalfClose();
        Assert.IsAssignableFrom<OperationCanceledException>(await exception.Task.InTimeAsync());
        AssertAllDelivered(await server.NextResultAsync());
    }

    [Fact]
    public async Task BlockedWrite_PeerResets_ReturnsCompleted()
    {
        var isCompleted = new TaskCompletionSource<bool>();
        await using var server = await TestServer.StartAsync(
            async connection => isCompleted.SetResult((await connection.SendAsync(LargeBytes)).IsCompleted));
        await using var peer = await server.ConnectAsync();
        await peer.ReadExactlyAsync(100_000);

        peer.Reset();

        Assert.True(await isCompleted.Task.InTimeAsync());
        var result = await server.NextResultAsync();
        Assert.Equal((CloseReason.PeerReset, CloseOutcome.PeerReset), (result.Reason, result.Outcome));
        Assert.NotNull(result.UnacknowledgedBytes);
        Assert.InRange(result.UnacknowledgedBytes.Value, 1, LargeBytes - 100_000);
    }

    [Fact]
    public async Task Write_PeerReadsNothing_IsHeldBackAtTheThreshold()
    {
        const int pieceBytes = 10_000;
        var written = 0L;
        var done = new TaskCompletionSource();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            while (true)
            {
                var flush = connection.Transport.Output.WriteAsync(new byte[pieceBytes]);
                Volatile.Write(ref written, written + pieceBytes);
                if (!flush.IsCompleted)
                {
                    // The kernels are full, and ours holds 64 KiB: this is where backpressure begins.
                    done.SetResult();
                    await flush;
                    return;
                }
            }
        });
        await using var peer = await server.ConnectAsync(socket => socket.ReceiveBufferSize = 64 * 1024);

        await done.Task.InTimeAsync();

        Assert.Equal(Volatile.Read(ref written), (await peer.ReadToEndAsync()).Bytes);
        peer.HalfClose();
        AssertAllDelivered(await server.NextResultAsync());
    }

    private static void AssertAllDelivered(CloseResult result) =>
        Assert.Equal((CloseOutcome.Graceful, 0), (result.Outcome, result.UnacknowledgedBytes));

    // A period that no buffer size divides: a block that is lost, doubled or misplaced shows.
    private static byte PatternAt(long position) => (byte)(position % 251);

    private static byte[] Pattern(long position, int count)
    {
        var bytes = new byte[count];
        for (var i = 0; i < count; i++)
        {
            bytes[i] = PatternAt(position + i);
        }

        return bytes;
    }

    private static async Task AssertPatternThenEofAsync(ScriptedPeer peer, long count)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(64 * 1024);
        long position = 0;
        while (await peer.ReceiveAsync(buffer) is > 0 and var received)
        {
            Assert.Equal(Pattern(position, received), buffer.AsSpan(0, received));
            position += received;
        }

        ArrayPool<byte>.Shared.Return(buffer);
        Assert.Equal(count, position);
    }
}
