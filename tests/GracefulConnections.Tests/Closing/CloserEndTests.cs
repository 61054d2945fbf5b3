using System.Net.Sockets;
using GracefulConnections.Closing;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Tests.Closing;

/// <summary>How a connection ends: by FIN, by an RST behind everything, or by a limit that is no abort.</summary>
public sealed class CloserEndTests : IAsyncDisposable
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);
    private static readonly TimeSpan TimerGrain = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan FirstPoll = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestPoll = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly InMemoryConnection _peer = new();
    private TestEndpoint _endpoint = null!;
    private FakeOutput _output = null!;
    private ReadPump _input = null!;

    public ValueTask DisposeAsync() => _peer.DisposeAsync();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task FlushStallTimeout_OurFinSent_IsAnAbortOnlyIfSomethingIsStillHere(bool isInKernel)
    {
        var sut = Create();
        _output.FinIsInKernel = isInKernel;
        var closing = StartClose(sut);
        _output.SendFin();

        Advance(_endpoint.Options.FlushStallTimeout);

        Assert.Equal(CloseOutcome.FlushTimedOut, (await closing.WithinLimit()).Outcome);
        AssertAborted(sut, !isInKernel);
    }

    [Fact]
    public async Task FlushStallTimeout_OurFinNotSent_Aborts()
    {
        var sut = Create();
        var closing = StartClose(sut);

        Advance(_endpoint.Options.FlushStallTimeout);

        Assert.Equal(CloseOutcome.FlushTimedOut, (await closing.WithinLimit()).Outcome);
        AssertAborted(sut, expected: true);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task MaxLingerBytes_OurFinSentAndNotAcknowledged_IsAnAbortOnlyIfSomethingIsStillHere(bool isInKernel)
    {
        var sut = Create(options => options.MaxLingerBytes = 2);
        _output.FinIsInKernel = isInKernel;
        var closing = StartClose(sut);
        _output.SendFin();

        _peer.Send("abc");

        Assert.Equal(CloseOutcome.LingerLimitExceeded, (await closing.WithinLimit()).Outcome);
        AssertAborted(sut, !isInKernel);
    }

    [Theory]
    [InlineData("silence", CloseOutcome.LingerTimedOut)]
    [InlineData("bytes", CloseOutcome.LingerLimitExceeded)]
    [InlineData("eviction", CloseOutcome.LingerEvicted)]
    [InlineData("close timeout", CloseOutcome.CloseTimedOut)]
    public async Task Limit_EverythingDelivered_IsNoAbort(string limit, CloseOutcome expected)
    {
        var sut = Create(options =>
        {
            options.MaxLingerBytes = 2;
            options.LingerIdleTimeout = limit == "close timeout" ? Timeout.InfiniteTimeSpan : Second;
        });
        var closing = StartClose(sut);
        Deliver();
        _output.FinIsInKernel = false; // Nobody asks any more: it was acknowledged.

        switch (limit)
        {
            case "silence":
                Advance(Second);
                break;
            case "bytes":
                _peer.Send("abc");
                break;
            case "eviction":
                sut.Evict();
                break;
            default:
                Advance(_endpoint.Options.CloseTimeout);
                break;
        }

        var end = await closing.WithinLimit();
        Assert.Equal((expected, 0L), (end.Outcome, end.UnacknowledgedBytes));
        AssertAborted(sut, expected: false);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task CloseTimeout_FlushTookLonger_CountsFromDelivery(bool atEdge)
    {
        var sut = Create(options =>
        {
            options.LingerIdleTimeout = Timeout.InfiniteTimeSpan;
            options.CloseTimeout = TimeSpan.FromSeconds(10);
        });
        var closing = StartClose(sut);
        for (var progress = 1; progress <= 30; progress++)
        {
            _output.Delivery = _output.Delivery with { Progress = progress };
            Advance(Second); // A flush that makes progress is not cut.
        }

        Assert.Equal(CloseState.Flushing, sut.State);
        Deliver();
        Advance(TimeSpan.FromSeconds(10) - (atEdge ? TimeSpan.Zero : Tick));

        Assert.Equal(atEdge ? CloseState.Closed : CloseState.Lingering, sut.State);
        _endpoint.Time.Advance(TimerGrain);
        Assert.Equal(CloseOutcome.CloseTimedOut, (await closing.WithinLimit()).Outcome);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task SendThenReset_EverythingAcknowledged_ResetsASecondLater(bool atEdge)
    {
        var sut = Create();
        var closing = StartClose(sut, LeftOver.SendThenReset);
        Assert.Equal(LeftOver.SendThenReset, _output.EndedWith);
        _output.SendAll();
        _output.Delivery = _output.Delivery with { IsAllAcknowledged = true };
        _endpoint.Time.Advance(FirstPoll); // Where it is noticed.

        _endpoint.Time.Advance(CloseDeadlines.ResetDelay - (atEdge ? TimeSpan.Zero : Tick));

        Assert.Equal(atEdge ? CloseState.Aborted : CloseState.Flushing, sut.State);
        _endpoint.Time.Advance(TimerGrain);
        Assert.Equal(CloseOutcome.Aborted, (await closing.WithinLimit()).Outcome);
        AssertAborted(sut, expected: true);
    }

    [Fact]
    public async Task SendThenReset_NotAcknowledgedYet_Waits()
    {
        var sut = Create();
        var closing = StartClose(sut, LeftOver.SendThenReset);
        _output.Delivery = _output.Delivery with { IsAllAcknowledged = true }; // So far; something is still here.
        Advance(5 * Second);
        Assert.Equal(CloseState.Flushing, sut.State);
        _output.Delivery = _output.Delivery with { IsAllAcknowledged = false };
        _output.SendAll();
        Advance(5 * Second);
        Assert.Equal(CloseState.Flushing, sut.State);

        _output.Delivery = _output.Delivery with { IsAllAcknowledged = true };
        Advance(LongestPoll + CloseDeadlines.ResetDelay);

        Assert.Equal(CloseOutcome.Aborted, (await closing.WithinLimit()).Outcome);
    }

    [Fact]
    public async Task SendThenReset_PeerHasSentFin_ResetsAtTheNextLook()
    {
        var sut = Create();
        var closing = StartClose(sut, LeftOver.SendThenReset);
        _output.SendAll();
        _output.Delivery = _output.Delivery with { IsAllAcknowledged = true };
        _peer.HalfClose();

        _endpoint.Time.Advance(FirstPoll);

        Assert.Equal((CloseOutcome.Aborted, FirstPoll), ((await closing.WithinLimit()).Outcome, sut.Result?.Duration));
    }

    [Fact]
    public async Task SendThenReset_PeerDoesNotRead_IsFlushTimedOutByRst()
    {
        var sut = Create();
        var closing = StartClose(sut, LeftOver.SendThenReset);

        Advance(_endpoint.Options.FlushStallTimeout);

        Assert.Equal(CloseOutcome.FlushTimedOut, (await closing.WithinLimit()).Outcome);
        AssertAborted(sut, expected: true);
    }

    [Theory]
    [InlineData("nothing", false)]
    [InlineData("peer's FIN handed", true)]
    [InlineData("peer's FIN discarded", true)]
    [InlineData("read refused", true)]
    [InlineData("read refused unanswered", false)]
    public async Task OnOutputFaulted_SomethingMayBeMissing_NoFinFollows(string before, bool sendsFin)
    {
        var sut = Create();
        switch (before)
        {
            case "peer's FIN handed":
                _peer.HalfClose();
                Assert.True((await _input.ReadAsync()).IsCompleted);
                break;
            case "peer's FIN discarded":
                _input.Complete();
                _peer.HalfClose();
                break;
            case "read refused":
                await RefuseAsync(isUnanswered: false);
                break;
            case "read refused unanswered":
                await RefuseAsync(isUnanswered: true);
                break;
        }

        var fault = new InvalidTimeZoneException("mine");
        Assert.Equal(sendsFin ? LeftOver.Send : LeftOver.SendThenReset, sut.OnOutputFaulted(fault));

        Assert.Equal(CloseState.HalfClosed, sut.State);
        _output.SendAll();
        _output.Delivery = _output.Delivery with { IsAllAcknowledged = true };
        Advance(FirstPoll + CloseDeadlines.ResetDelay + LongestPoll); // The handler has not returned.
        Assert.Equal(sendsFin ? CloseState.HalfClosed : CloseState.Aborted, sut.State);
        if (!sendsFin)
        {
            Assert.Equal(CloseReason.HandlerFaulted, sut.Result?.Reason);
            Assert.Same(fault, _peer.AbortReason?.InnerException);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task LingerIdleTimeout_LookComesLate_GivesOneGrace(bool atEdge)
    {
        var sut = Create();
        var closing = StartClose(sut);
        Deliver();
        Advance(Second); // It is known when to look next.

        _endpoint.Time.Advance(TimeSpan.FromMinutes(1)); // The process did not run.
        Assert.Equal(CloseState.Lingering, sut.State);
        _endpoint.Time.Advance(CloseDeadlines.Grace - (atEdge ? TimeSpan.Zero : Tick));

        Assert.Equal(atEdge ? CloseState.Closed : CloseState.Lingering, sut.State);
        _endpoint.Time.Advance(TimerGrain);
        Assert.Equal(CloseOutcome.LingerTimedOut, (await closing.WithinLimit()).Outcome);
    }

    [Fact]
    public async Task LingerIdleTimeout_PeersFinWithinTheGrace_IsGraceful()
    {
        var closing = StartClose(Create());
        Deliver();
        Advance(Second);
        _endpoint.Time.Advance(TimeSpan.FromMinutes(1));

        _peer.HalfClose();

        Assert.Equal(CloseOutcome.Graceful, (await closing.WithinLimit()).Outcome);
    }

    // An urgent byte, for example, which no read returns.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task LingerIdleTimeout_SomethingStaysInTheKernel_GivesOneGrace(bool atEdge)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Asks the kernel for the length of its queue.");
        using var sockets = await SocketPair.ConnectAsync();
        var probe = new SocketQueue(sockets.Own);
        var sut = Create(probe: probe);
        sockets.Peer.Send("x"u8);
        await TestLimit.UntilAsync(probe.IsBehind);
        var closing = StartClose(sut);
        Deliver();

        Advance(_endpoint.Options.LingerIdleTimeout);
        Assert.Equal(CloseState.Lingering, sut.State);
        Advance(CloseDeadlines.Grace - (atEdge ? TimeSpan.Zero : Tick));

        Assert.Equal(atEdge ? CloseState.Closed : CloseState.Lingering, sut.State);
        _endpoint.Time.Advance(TimerGrain);
        Assert.Equal(CloseOutcome.LingerTimedOut, (await closing.WithinLimit()).Outcome);
    }

    // The reader, which would tell, has not got its turn: the process is starved, and not the peer silent.
    [Fact]
    public async Task LingerIdleTimeout_PeersFinIsInTheKernel_IsGraceful()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Asks the kernel for the connection's state.");
        using var sockets = await SocketPair.ConnectAsync();
        var probe = new SocketQueue(sockets.Own);
        var sut = Create(probe: probe);
        sockets.Own.Shutdown(SocketShutdown.Send);
        sockets.Peer.Shutdown(SocketShutdown.Send);
        await TestLimit.UntilAsync(probe.IsBehind);
        var closing = StartClose(sut);
        Deliver();

        Advance(_endpoint.Options.LingerIdleTimeout);

        Assert.Equal(CloseOutcome.Graceful, (await closing.WithinLimit()).Outcome);
    }

    // A peer that has vanished never acknowledges our FIN.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task CapLinger_OnlyOurFinIsNotAcknowledged_EndsAtTheCap(bool isOnlyFin)
    {
        var sut = Create();
        var closing = StartClose(sut);
        _output.SendFin();
        _output.Delivery = _output.Delivery with { IsOnlyFinMissing = isOnlyFin };
        sut.CapLinger(Second);

        Advance(Second + LongestPoll);

        Assert.Equal(isOnlyFin ? CloseState.Closed : CloseState.Flushing, sut.State);
        if (isOnlyFin)
        {
            Assert.Equal(CloseOutcome.LingerTimedOut, (await closing.WithinLimit()).Outcome);
            AssertAborted(sut, expected: false);
        }
    }

    [Fact]
    public void Flushing_OnlyOurFinIsNotAcknowledgedAndNoDrain_Waits()
    {
        var sut = Create();
        _ = StartClose(sut);
        _output.SendFin();
        _output.Delivery = _output.Delivery with { IsOnlyFinMissing = true };

        Advance(30 * Second);

        Assert.Equal(CloseState.Flushing, sut.State);
    }

    [Fact]
    public async Task SayGoodbyeAsync_FlushPending_WaitsForItFirst()
    {
        var sut = Create();
        sut.TryRequestClose(CloseReason.Drain);
        _output.IsBlocked = true;
        var said = false;
        var saying = SayGoodbye(sut, () => said = true);

        Advance(10 * Second);
        Assert.False(said);
        _output.IsBlocked = false;
        Advance(LongestPoll);

        await saying.WithinLimit();
        Assert.True(said);
    }

    [Fact]
    public async Task SayGoodbyeAsync_PendingFlushStalls_IsNotSaid()
    {
        var sut = Create();
        sut.TryRequestClose(CloseReason.Drain);
        _output.IsBlocked = true;
        var said = false;
        var saying = SayGoodbye(sut, () => said = true);

        Advance(_endpoint.Options.FlushStallTimeout + Second);

        await saying.WithinLimit();
        Assert.False(said);
        Assert.Equal(CloseOutcome.FlushTimedOut, sut.Result?.Outcome);
    }

    [Theory]
    [InlineData("input ended", CloseOutcome.Graceful)]
    [InlineData("input open", CloseOutcome.Aborted)]
    [InlineData("unsent", CloseOutcome.Aborted)]
    [InlineData("reset", CloseOutcome.PeerReset)]
    public async Task OnClosingByServer_InputEndedAndNothingUnsent_IsGraceful(string what, CloseOutcome expected)
    {
        var sut = Create();
        if (what is "input ended" or "unsent")
        {
            _peer.HalfClose();
        }

        if (what == "reset")
        {
            _peer.Reset();
            await Assert.ThrowsAsync<ConnectionResetException>(() => _input.ReadAsync().WithinLimit());
        }

        _output.UnsentBytes = what == "unsent" ? 1 : 0;
        sut.OnClosingByServer();

        Assert.Equal(expected, (await sut.Closed.WithinLimit()).Outcome);
        Assert.Null(_peer.AbortReason); // The server does it.
    }

    private static Task<CloseResult> StartClose(Closer closer, LeftOver leftOver = LeftOver.Send)
    {
        closer.OnHandlerReturned(CloseReason.HandlerCompleted);
        return EndAsync();

        async Task<CloseResult> EndAsync()
        {
            await closer.CloseAsync(leftOver);
            return Assert.NotNull(closer.Result);
        }
    }

    private static Task SayGoodbye(Closer closer, Action say)
    {
        closer.OnHandlerReturned(CloseReason.HandlerCompleted);
        return closer.SayGoodbyeAsync((_, _) =>
        {
            say();
            return default;
        }).AsTask();
    }

    private Closer Create(Action<GracefulCloseOptions>? configure = null, KernelQueue? probe = null)
    {
        _endpoint = new TestEndpoint(configure);
        var closer = new Closer(_peer, _endpoint.Scope);
        _output = new FakeOutput(closer)
        {
            Delivery = new DeliveryStatus(0, IsDelivered: false, IsReset: false, UnacknowledgedBytes: 0),
        };
        _input = new ReadPump(_peer.Transport.Input, probe, InputKind.Transport, closer);
        closer.Attach(_input, _output);
        return closer;
    }

    private async Task RefuseAsync(bool isUnanswered)
    {
        var habit = new Habit(isUnanswered, isUnanswered, IsDuplex: false, UsesScopes: false, IsOutsideTls: false);
        var read = _input.ReadAsync();
        _input.Ask(new CancellationToken(canceled: true));
        _input.TryRefuse(habit, default, TimeSpan.Zero);
        _input.TryRefuse(habit, default, TimeSpan.Zero);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());
    }

    private void Deliver()
    {
        _output.Delivery = _output.Delivery with { Progress = _output.Delivery.Progress + 1, IsDelivered = true };
        _output.SendFin();
    }

    private void Advance(TimeSpan time) => _endpoint.Time.AdvanceInSteps(time);

    private void AssertAborted(Closer closer, bool expected)
    {
        Assert.Equal(expected ? CloseState.Aborted : CloseState.Closed, closer.State);
        Assert.Equal(expected, _output.IsAborted);
        Assert.Equal(expected, _peer.AbortReason is not null);
    }
}
