using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Text;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Outgoing;

/// <summary><c>RunGracefullyAsync</c> on a connection that was made, against a plain socket server.</summary>
public abstract class OutgoingConnectionTests : IDisposable
{
    private const int RequestBytes = 1_500_000;
    private const int StuckBytes = 15_000_000; // More than both kernels hold.
    private const long UploadBytes = 20_000_000;

    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    protected OutgoingConnectionTests()
    {
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen();
    }

    public void Dispose()
    {
        Dispose(isDisposing: true);
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task HandlerReturns_PeerReads_GetsEverythingThenFin()
    {
        await using var connection = await ConnectAsync();
        await using var peer = await AcceptAsync();

        var running = connection.RunHandlerAsync(static connection => connection.SendAsync(RequestBytes));

        Assert.Equal((RequestBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        Assert.False(running.IsCompleted); // The peer's FIN is missing.
        peer.HalfClose();
        var result = await running.InTimeAsync();
        Assert.Equal(
            (CloseReason.HandlerCompleted, CloseOutcome.Graceful, 0L),
            (result.Reason, result.Outcome, result.UnacknowledgedBytes));
    }

    // What costs most of the request with a plain close.
    // A header, such as a proxy's, which says to the upstream who the peer is. The library sends on the socket itself.
    [Fact]
    public async Task WrittenBefore_NotFlushed_ArrivesAheadOfTheHandlers()
    {
        await using var connection = await ConnectAsync();
        await using var peer = await AcceptAsync();
        connection.Transport.Output.Write(new byte[RequestBytes]);

        var running = connection.RunHandlerAsync(static connection => SayAsync(connection, "handler"));

        await AssertComesBehindAsync(peer, RequestBytes, "handler");
        peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await running.InTimeAsync()).Outcome);
    }

    // Kestrel's flush returns before its loop has sent anything.
    [Fact]
    public async Task WrittenBefore_Flushed_ArrivesAheadOfTheHandlers()
    {
        for (var i = 0; i < 30; i++)
        {
            await using var connection = await ConnectAsync();
            await using var peer = await AcceptAsync();
            await connection.Transport.Output.WriteAsync(new byte[100], CancellationToken.None);

            var running = connection.RunHandlerAsync(static connection => SayAsync(connection, "handler"));

            await AssertComesBehindAsync(peer, 100, "handler");
            peer.HalfClose();
            Assert.Equal(CloseOutcome.Graceful, (await running.InTimeAsync()).Outcome);
        }
    }

    // Kestrel's loop sends here. It may hear of the reset first, and its reader then tells an end, as on stock.
    /// <summary>A flush that is given up is still sent, as on any connection of Kestrel's: once, and in its place.</summary>
    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public async Task WrittenBefore_FlushIsGivenUp_ArrivesOnce(bool isOneWrite, bool isDisposed)
    {
        await using var connection = await ConnectAsync();
        await using var peer = await AcceptAsync();
        var bytes = new byte[StuckBytes];
        new Random(1).NextBytes(bytes);
        using var given = new CancellationTokenSource();
        var flushing = Write(connection.Transport.Output, bytes, isOneWrite, given.Token);
        Assert.False(flushing.IsCompleted); // The peer does not read yet.
        await given.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await flushing);

        var ending = isDisposed ? connection.DisposeAsync().AsTask() : connection.RunHandlerAsync(static connection => SayAsync(connection, "handler"));

        using var received = new MemoryStream();
        Assert.Equal(PeerSaw.Eof, (await peer.ReadAllAsync(received)).End);
        peer.HalfClose();
        await ending.InTimeAsync();
        byte[] expected = isDisposed ? bytes : [.. bytes, .. "handler"u8];
        Assert.Equal(expected.Length, received.Length);
        Assert.True(received.ToArray().AsSpan().SequenceEqual(expected), "They are in another order.");
    }

    [Fact]
    public async Task FlushIsGivenUp_TheNextOneFollowsBehindIt()
    {
        await using var connection = await ConnectAsync();
        await using var peer = await AcceptAsync();
        using var given = new CancellationTokenSource();
        var flushing = Write(connection.Transport.Output, new byte[StuckBytes], isOneWrite: false, given.Token);
        await given.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await flushing);

        var next = SayAsync(connection, "next");

        var received = await peer.ReadExactlyAsync(StuckBytes + "next".Length);
        await next.InTimeAsync();
        Assert.Equal("next"u8, received.AsSpan(StuckBytes));
        Assert.Equal(0, received.Count(static one => one != 0) - "next".Length);
    }

    [Fact]
    public async Task WrittenBefore_PeerResets_HandlerIsToldAndItEnds()
    {
        await using var connection = await ConnectAsync();
        await using var peer = await AcceptAsync();
        connection.Transport.Output.Write(new byte[UploadBytes]); // More than the kernels on both sides take.
        var running = connection.RunHandlerAsync(static connection => connection.ReadToEndAsync());
        await peer.ReadExactlyAsync(1);

        peer.Reset();

        var outcome = (await running.InTimeAsync()).Outcome;
        Assert.True(outcome is CloseOutcome.PeerReset or CloseOutcome.Aborted, $"It was {outcome}.");
    }

    [Fact]
    public async Task HandlerReturns_PeerStillSends_GetsEverythingThenFin()
    {
        await using var connection = await ConnectAsync();
        await using var peer = await AcceptAsync();
        var upload = peer.SendAsync(new byte[UploadBytes]);

        var running = connection.RunHandlerAsync(static connection => connection.SendAsync(RequestBytes));

        Assert.Equal((RequestBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        await upload;
        await peer.SendAsync(new byte[UploadBytes]); // After our FIN.
        peer.HalfClose();
        var result = await running.InTimeAsync();
        Assert.Equal(
            (CloseOutcome.Graceful, 2 * UploadBytes, 0L),
            (result.Outcome, result.DiscardedBytes, result.UnacknowledgedBytes));
    }

    [Fact]
    public async Task OutputCompleted_PeerRepliesAfterOurFin_HandlerReadsTheReply()
    {
        await using var connection = await ConnectAsync();
        await using var peer = await AcceptAsync();
        var reply = 0L;

        var running = connection.RunHandlerAsync(
            async connection =>
            {
                await connection.SendAsync(RequestBytes);
                await connection.Transport.Output.CompleteAsync();
                reply = await connection.ReadToEndAsync();
            },
            new GracefulCloseOptions { AllowHalfOpen = true });

        Assert.Equal((RequestBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        await peer.SendAsync(new byte[RequestBytes]);
        peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await running.InTimeAsync()).Outcome);
        Assert.Equal(RequestBytes, reply);
    }

    [Fact]
    public async Task HandlerThrows_PeerSeesFin()
    {
        await using var connection = await ConnectAsync();
        await using var peer = await AcceptAsync();

        var running = connection.RunHandlerAsync(_ => throw new InvalidTimeZoneException());

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await Assert.ThrowsAsync<InvalidTimeZoneException>(() => running.InTimeAsync());
    }

    [Fact]
    public async Task HandlerThrows_AbortOnHandlerFault_PeerSeesReset()
    {
        await using var connection = await ConnectAsync();
        await using var peer = await AcceptAsync();

        var running = connection.RunHandlerAsync(
            _ => throw new InvalidTimeZoneException(), new GracefulCloseOptions { AbortOnHandlerFault = true });

        await Assert.ThrowsAsync<InvalidTimeZoneException>(() => running.InTimeAsync());
        Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());
    }

    [Fact]
    public async Task PeerResets_HandlerReads_ReturnsPeerReset()
    {
        await using var connection = await ConnectAsync();
        await using var peer = await AcceptAsync();
        var running = connection.RunHandlerAsync(static connection => connection.ReadToEndAsync());

        peer.Reset();

        var result = await running.InTimeAsync();
        Assert.Equal((CloseReason.PeerReset, CloseOutcome.PeerReset), (result.Reason, result.Outcome));
    }

    [Fact]
    public async Task PeerTakesNothing_EndsAfterTheFlushAndTellsWhatIsMissing()
    {
        await using var connection = await ConnectAsync();
        await using var peer = await AcceptAsync();

        var running = connection.RunHandlerAsync(
            static connection =>
            {
                _ = connection.Transport.Output.WriteAsync(new byte[UploadBytes], CancellationToken.None).AsTask(); // Not all of it gets away.
                return Task.CompletedTask;
            },
            new GracefulCloseOptions { FlushStallTimeout = TimeSpan.FromMilliseconds(300) });

        var result = await running.InTimeAsync();
        Assert.Equal(CloseOutcome.FlushTimedOut, result.Outcome);
        var delivered = UploadBytes - result.UnacknowledgedBytes!.Value;
        Assert.Equal(PeerSaw.Reset, await peer.AbortArrivesAsync());
        var (received, _) = await peer.ReadToEndAsync();
        Assert.InRange(received, delivered, Math.Min(UploadBytes - 1, delivered + TestServer.LargestSend));
    }

    // The server has said all that it will, and reads no more: its kernel answers what still comes with RST.
    [Fact]
    public async Task PeerClosesEarly_HandlerReadsTheReply_ReturnsPeerReset()
    {
        await using var connection = await ConnectAsync();
        await using var peer = await AcceptAsync();
        await peer.SendAsync(new byte[1000]);
        peer.Socket.Close();
        var reply = 0L;

        var running = connection.RunHandlerAsync(async connection =>
        {
            reply = await connection.ReadToEndAsync();
            while (true)
            {
                if ((await connection.SendAsync(1000)).IsCompleted)
                {
                    return;
                }
            }
        });

        Assert.Equal(CloseOutcome.PeerReset, (await running.InTimeAsync()).Outcome);
        Assert.Equal(1000, reply);
    }

    [Fact]
    public async Task PeerKeepsItsSideOpen_EndsAfterTheLinger()
    {
        await using var connection = await ConnectAsync();
        await using var peer = await AcceptAsync();
        var running = connection.RunHandlerAsync(
            static connection => connection.SendAsync(RequestBytes),
            new GracefulCloseOptions { LingerIdleTimeout = TimeSpan.FromMilliseconds(200) });

        Assert.Equal((RequestBytes, PeerSaw.Eof), await peer.ReadToEndAsync());

        Assert.Equal(CloseOutcome.LingerTimedOut, (await running.InTimeAsync()).Outcome);
        await connection.DisposeAsync(); // The caller's own.
        await peer.SendUntilResetAsync();
    }

    protected abstract Task<ConnectionContext> ConnectAsync(EndPoint endPoint);

    protected virtual void Dispose(bool isDisposing) => _listener.Dispose();

    private static ValueTask<FlushResult> Write(PipeWriter output, byte[] bytes, bool isOneWrite, CancellationToken cancellationToken)
    {
        const int pieceBytes = 1_000_000; // So large that the kernel has taken a part of one, and not the rest.
        if (isOneWrite)
        {
            return output.WriteAsync(bytes, cancellationToken);
        }

        foreach (var piece in bytes.Chunk(pieceBytes))
        {
            piece.CopyTo(output.GetSpan(pieceBytes));
            output.Advance(piece.Length);
        }

        return output.FlushAsync(cancellationToken);
    }

    private static async Task SayAsync(ConnectionContext connection, string text) =>
        await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(text), CancellationToken.None);

    private static async Task AssertComesBehindAsync(ScriptedPeer peer, int bytesBefore, string text)
    {
        var received = new MemoryStream();
        Assert.Equal((bytesBefore + text.Length, PeerSaw.Eof), await peer.ReadAllAsync(received));
        Assert.Equal(text, Encoding.ASCII.GetString(received.ToArray().AsSpan(bytesBefore)));
    }

    private Task<ConnectionContext> ConnectAsync() => ConnectAsync(_listener.LocalEndPoint!);

    private async Task<ScriptedPeer> AcceptAsync() => new(await _listener.AcceptAsync(CancellationToken.None).AsTask().InTimeAsync());
}
