using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.FunctionalTests;

/// <summary>A slow reader is not a stalled one, and a stalled one holds nothing for longer than allowed.</summary>
[Collection(SerialTests.Name)]
public class SlowPeerTests
{
    private const int ReplyBytes = 4_000_000;
    private const int StuckReplyBytes = 12_000_000; // More than both kernels hold.
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(300);

    [Fact]
    public async Task Close_PeerReadsAtATrickle_GetsEveryByte()
    {
        // Many times the pause between two reads of the peer, and a part of the whole trickle.
        var timeout = TimeSpan.FromSeconds(1);
        await using var server = await TestServer.StartAsync(
            connection =>
            {
                _ = connection.SendAsync(ReplyBytes);
                return Task.CompletedTask;
            },
            options =>
            {
                options.FlushStallTimeout = timeout;
                options.LingerIdleTimeout = timeout;
            });
        await using var peer = await server.ConnectAsync(SmallWindow);

        var received = await ReadAtATrickleAsync(peer, 24 * 1024, TimeSpan.FromMilliseconds(25));
        peer.HalfClose();

        Assert.Equal(ReplyBytes, received);
        var result = await server.NextResultAsync();
        Assert.Equal((CloseOutcome.Graceful, 0), (result.Outcome, result.UnacknowledgedBytes));
        Assert.True(result.Duration > 3 * timeout, $"The trickle took only {result.Duration}: this proves nothing.");
    }

    [Fact]
    public async Task Close_PeerNeverReads_TellsWhatItMissed()
    {
        await using var server = await TestServer.StartAsync(
            connection =>
            {
                _ = connection.SendAsync(StuckReplyBytes);
                return Task.CompletedTask;
            },
            options => options.FlushStallTimeout = Short);
        await using var peer = await server.ConnectAsync(SmallWindow);

        var result = await server.NextResultAsync();

        Assert.Equal((CloseReason.HandlerCompleted, CloseOutcome.FlushTimedOut), (result.Reason, result.Outcome));
        Assert.True(result.Duration >= Short, $"{result.Duration} is too early.");
        await AssertMissedAsync(result.UnacknowledgedBytes, peer);
    }

    [Fact]
    public async Task Close_OurKernelHoldsLittleAndThePeersMuch_TellsWhatItMissed()
    {
        // One send is then under way for long, and the peer has acknowledged a part of it.
        await using var server = await TestServer.StartAsync(
            connection =>
            {
                connection.Features.Get<IConnectionSocketFeature>()!.Socket.SendBufferSize = 32 * 1024;
                _ = connection.SendAsync(StuckReplyBytes);
                return Task.CompletedTask;
            },
            options => options.FlushStallTimeout = Short);
        await using var peer = await server.ConnectAsync(socket => socket.ReceiveBufferSize = 300_000);

        var result = await server.NextResultAsync();

        Assert.Equal(CloseOutcome.FlushTimedOut, result.Outcome);
        await AssertMissedAsync(result.UnacknowledgedBytes, peer);
    }

    [Fact]
    public async Task CloseRequest_HandlerBlockedInItsWrite_AbortsAfterFlushStallTimeout()
    {
        var connected = new TaskCompletionSource<IGracefulCloseFeature>();
        var writeEnded = new TaskCompletionSource<bool>();
        await using var server = await TestServer.StartAsync(
            async connection =>
            {
                connected.SetResult(connection.Graceful());
                writeEnded.SetResult((await connection.SendAsync(StuckReplyBytes)).IsCompleted);
            },
            options => options.FlushStallTimeout = Short);
        await using var peer = await server.ConnectAsync(SmallWindow);

        (await connected.Task.InTimeAsync()).RequestClose();

        var result = await server.NextResultAsync();
        Assert.Equal((CloseReason.Application, CloseOutcome.FlushTimedOut), (result.Reason, result.Outcome));
        Assert.True(await writeEnded.Task.InTimeAsync()); // The handler is told that there is no reader any more.
        await AssertMissedAsync(result.UnacknowledgedBytes, peer);
    }

    [Fact]
    public async Task CloseRequest_HandlerBlockedInItsWriteToASlowPeer_LosesNothing()
    {
        var timeout = TimeSpan.FromSeconds(1);
        var connected = new TaskCompletionSource<IGracefulCloseFeature>();
        await using var server = await TestServer.StartAsync(
            connection =>
            {
                // Else the kernel may take the whole reply, and the handler returns first.
                connection.Features.Get<IConnectionSocketFeature>()!.Socket.SendBufferSize = 64 * 1024;
                connected.SetResult(connection.Graceful());
                return connection.SendAsync(ReplyBytes);
            },
            options => options.FlushStallTimeout = timeout);
        await using var peer = await server.ConnectAsync(SmallWindow);
        (await connected.Task.InTimeAsync()).RequestClose();

        var received = await ReadAtATrickleAsync(peer, 24 * 1024, TimeSpan.FromMilliseconds(25));
        peer.HalfClose();

        Assert.Equal(ReplyBytes, received);
        var result = await server.NextResultAsync();
        Assert.Equal(
            (CloseReason.Application, CloseOutcome.Graceful, 0),
            (result.Reason, result.Outcome, result.UnacknowledgedBytes));
    }

    private static void SmallWindow(Socket socket) => socket.ReceiveBufferSize = 64 * 1024;

    // The kernel of a peer whose connection was reset still gives what it had acknowledged before.
    private static async Task AssertMissedAsync(long? unacknowledged, ScriptedPeer peer)
    {
        Assert.Equal(PeerSaw.Reset, await peer.AbortArrivesAsync());
        var (received, _) = await peer.ReadToEndAsync();
        var missed = StuckReplyBytes - received;
        Assert.InRange(unacknowledged!.Value, missed, missed + TestServer.LargestSend);
    }

    private static async Task<long> ReadAtATrickleAsync(ScriptedPeer peer, int pieceBytes, TimeSpan pause)
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        using var rhythm = new PeriodicTimer(pause);
        var piece = new byte[pieceBytes];
        long bytes = 0;
        while (await peer.ReceiveAsync(piece) is > 0 and var received)
        {
            bytes += received;
            await rhythm.WaitForNextTickAsync(limit.Token);
        }

        return bytes;
    }
}
