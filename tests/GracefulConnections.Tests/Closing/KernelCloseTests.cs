using GracefulConnections.Tests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Tests.Closing;

/// <summary>Every way for a connection with a kernel to end, in virtual time.</summary>
public sealed class KernelCloseTests : IDisposable
{
    private readonly TestEndpoint _endpoint = new(static options =>
    {
        options.FlushStallTimeout = TimeSpan.FromSeconds(7);
        options.LingerIdleTimeout = TimeSpan.FromSeconds(3);
    });

    private readonly PoisoningMemoryPool _pool = new();
    private readonly ServedConnection _connection;

    public KernelCloseTests() => _connection = _endpoint.Serve(new InMemoryConnection(new InMemoryConnectionOptions
    {
        TimeProvider = _endpoint.Time,
        MemoryPool = _pool,
        WindowBytes = 8,
    }));

    private InMemoryPeer Peer => _connection.Peer.Peer;

    public void Dispose() => _pool.ThrowIfViolated();

    [Fact]
    public async Task Close_LateBytesAndFin_IsGraceful()
    {
        _connection.Write("reply");
        _connection.Return();
        Assert.Equal(CloseState.Lingering, _connection.State);
        Peer.SendLater(TimeSpan.FromSeconds(2), "late");
        Advance(2);

        Peer.HalfClose();

        var close = await EndAsync();
        Assert.Equal((CloseOutcome.Graceful, 4L, 0L), (close.Outcome, close.DiscardedBytes, close.UnacknowledgedBytes));
        Assert.Equal("reply", await Peer.ReceiveToEndAsync());
    }

    [Fact]
    public async Task Close_AcknowledgementsHeldBack_FlushesUntilTheyCome()
    {
        Peer.HoldAcknowledgements();
        _connection.Write("reply");
        _connection.Return();
        Assert.Equal("reply", Peer.Receive());
        Assert.Equal((CloseState.Flushing, "reply".Length + 1), (_connection.State, Peer.UnacknowledgedBytes));
        Advance(6);

        Peer.ReleaseAcknowledgements();
        Advance(1);

        Assert.Equal(CloseState.Lingering, _connection.State);
        Peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await EndAsync()).Outcome);
    }

    [Fact]
    public async Task Close_AcknowledgementsNeverCome_TellsWhatMayBeMissing()
    {
        Peer.HoldAcknowledgements();
        _connection.Write("reply");
        _connection.Return();

        Advance(7);

        var close = await EndAsync();
        Assert.Equal((CloseOutcome.FlushTimedOut, 5L), (close.Outcome, close.UnacknowledgedBytes));
        Assert.Equal(CloseState.Closed, _connection.State); // All of it is in the kernel, which goes on delivering.
        Assert.Equal("reply", await Peer.ReceiveToEndAsync());
    }

    [Fact]
    public async Task Close_WindowClosed_IsFlushTimedOutAndTheKernelDeliversOn()
    {
        Peer.CloseWindow();
        _connection.Write("more than a window");
        _connection.Return();

        Advance(7);

        Assert.Equal((CloseOutcome.FlushTimedOut, 18L), await LossAsync());
        Peer.OpenWindow();
        Assert.Equal("more than a window", await Peer.ReceiveToEndAsync());
    }

    [Fact]
    public async Task Close_PeerReadsSlowly_IsProgressAndNoStall()
    {
        _connection.Write("more than two windows");
        _connection.Return();
        for (var i = 0; i < 2; i++)
        {
            Advance(6);
            Assert.Equal(CloseState.Flushing, _connection.State);
            Peer.CloseWindow(); // Or one read would open it again and again.
            Peer.Receive();
            Peer.OpenWindow();
        }

        Advance(1);
        Peer.HalfClose();

        Assert.Equal((CloseOutcome.Graceful, 0L), await LossAsync());
    }

    [Fact]
    public async Task Close_PeerVanished_IsFlushTimedOutWithEverythingUnacknowledged()
    {
        Peer.Vanish();
        _connection.Write("reply");
        _connection.Return();

        Advance(7);

        Assert.Equal((CloseOutcome.FlushTimedOut, 5L), await LossAsync());
        Assert.Equal("", Peer.Receive());
        Assert.Null(Peer.Report.End);
    }

    [Fact]
    public async Task Close_PeerSilentAfterDelivery_IsLingerTimedOutAndNoReset()
    {
        _connection.Return();

        Advance(3);

        Assert.Equal((CloseOutcome.LingerTimedOut, 0L), await LossAsync());
        Assert.Equal(PeerSaw.Eof, await Peer.EndedAsync());
    }

    [Fact]
    public async Task Serve_PeerResetsAfterAPart_IsPeerResetAndTellsTheRest()
    {
        Peer.ResetAfter(3);
        _connection.Write("reply");
        await _connection.Output.FlushAsync();
        await Assert.ThrowsAsync<ConnectionResetException>(() => _connection.Input.ReadAsync().AsTask());

        _connection.Return();

        Assert.Equal((CloseOutcome.PeerReset, 5L), await LossAsync()); // Its kernel acknowledged nothing any more.
        Assert.Equal("rep", Peer.Receive());
    }

    [Fact]
    public async Task Abort_OutputInTheKernel_IsAResetThatThePeerSees()
    {
        Peer.CloseWindow();
        _connection.Write("reply");
        await _connection.Output.FlushAsync();

        _connection.Peer.Abort();
        _connection.Return();

        Assert.Equal(CloseOutcome.Aborted, (await EndAsync()).Outcome);
        Peer.OpenWindow();
        await Assert.ThrowsAsync<ConnectionResetException>(Peer.ReceiveToEndAsync);
    }

    // What the library is for: without it, the same late bytes cost the peer the reply.
    [Fact]
    public async Task Close_WithoutTheLibrary_LateBytesLoseWhatIsQueued()
    {
        var connection = new InMemoryConnection(new InMemoryConnectionOptions { WindowBytes = 8 });
        await connection.RunAsync(static async connection =>
            await connection.Transport.Output.WriteAsync("more than a window"u8.ToArray())).WithinLimit();

        Assert.False(connection.Peer.Send("late"));

        Assert.Equal(PeerSaw.Reset, await connection.Peer.EndedAsync());
        Assert.Equal("more tha", connection.Peer.Receive());
    }

    private void Advance(int seconds) => _endpoint.Time.AdvanceInSteps(TimeSpan.FromSeconds(seconds));

    private async Task<(CloseOutcome Outcome, long? UnacknowledgedBytes)> LossAsync()
    {
        var close = await EndAsync();
        return (close.Outcome, close.UnacknowledgedBytes);
    }

    // As the server does behind its middlewares.
    private async Task<CloseResult> EndAsync()
    {
        _endpoint.Time.Advance(TimeSpan.FromMilliseconds(1)); // A look that came a tick too early comes again.
        var close = await _connection.EndAsync();
        await _connection.Peer.DisposeAsync().AsTask().WithinLimit();
        return close;
    }
}
