using GracefulConnections.Closing;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Tests.Closing;

/// <summary>What needs a kernel that tells what the peer acknowledged: the closer alone, with a fake output.</summary>
public sealed class CloserTests : IAsyncDisposable
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

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task OutputAcknowledged_PeerQuietAfterDelivery_IsAcknowledgedAtTheEdgeOfTheQuietTail(bool atEdge)
    {
        var sut = Create(options => options.LingerUntil = LingerUntil.OutputAcknowledged);
        var closing = StartClose(sut);
        Deliver();
        Assert.Equal(CloseState.Lingering, sut.State);

        _endpoint.Time.Advance(CloseDeadlines.QuietTail - (atEdge ? TimeSpan.Zero : Tick));

        Assert.Equal(atEdge ? CloseState.Closed : CloseState.Lingering, sut.State);
        _endpoint.Time.Advance(TimerGrain);
        var end = await closing.WithinLimit();
        Assert.Equal((CloseOutcome.Acknowledged, 0L), (end.Outcome, end.UnacknowledgedBytes));
        AssertNotAborted();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task OutputAcknowledged_PeerStillSends_StartsTheQuietTailAgain(bool atEdge)
    {
        var sut = Create(options => options.LingerUntil = LingerUntil.OutputAcknowledged);
        var closing = StartClose(sut);
        Deliver();
        _endpoint.Time.Advance(CloseDeadlines.QuietTail / 2);
        _peer.Send("x");

        _endpoint.Time.Advance(CloseDeadlines.QuietTail - (atEdge ? TimeSpan.Zero : Tick));

        Assert.Equal(atEdge ? CloseState.Closed : CloseState.Lingering, sut.State);
        _endpoint.Time.Advance(TimerGrain);
        Assert.Equal(CloseOutcome.Acknowledged, (await closing.WithinLimit()).Outcome);
    }

    [Fact]
    public async Task OutputAcknowledged_PeersFinWithinTheQuietTail_IsGraceful()
    {
        var closing = StartClose(Create(options => options.LingerUntil = LingerUntil.OutputAcknowledged));
        Deliver();

        _peer.HalfClose();

        Assert.Equal(CloseOutcome.Graceful, (await closing.WithinLimit()).Outcome);
    }

    [Theory]
    [InlineData(100, CloseOutcome.Acknowledged)]
    [InlineData(99, CloseOutcome.LingerTimedOut)]
    public async Task OutputAcknowledged_LingerIdleTimeoutNearTheQuietTail_TheShorterOneDecides(int lingerIdleTimeoutMs, CloseOutcome expected)
    {
        var closing = StartClose(Create(options =>
        {
            options.LingerUntil = LingerUntil.OutputAcknowledged;
            options.LingerIdleTimeout = TimeSpan.FromMilliseconds(lingerIdleTimeoutMs);
        }));
        Deliver();

        _endpoint.Time.Advance(CloseDeadlines.QuietTail);

        Assert.Equal(expected, (await closing.WithinLimit()).Outcome);
    }

    [Fact]
    public async Task PeerFin_AcknowledgedAndQuiet_GoesOnWaitingForThePeersFin()
    {
        var sut = Create();
        var closing = StartClose(sut);
        Deliver();

        _endpoint.Time.Advance(_endpoint.Options.LingerIdleTimeout - Tick);
        Assert.Equal(CloseState.Lingering, sut.State);
        _peer.HalfClose();

        Assert.Equal(CloseOutcome.Graceful, (await closing.WithinLimit()).Outcome);
    }

    [Fact]
    public async Task PeerFin_BeforeDelivery_IsRememberedUntilDelivery()
    {
        var sut = Create();
        var closing = StartClose(sut);
        _output.Delivery = new DeliveryStatus(Progress: 1, IsDelivered: false, IsReset: false, UnacknowledgedBytes: 5);
        _output.SendFin();

        _peer.HalfClose();
        Assert.Equal(CloseState.Flushing, sut.State);
        _endpoint.Time.Advance(FirstPoll);
        Assert.Equal(CloseState.Flushing, sut.State);
        _output.Delivery = new DeliveryStatus(Progress: 2, IsDelivered: true, IsReset: false, UnacknowledgedBytes: 0);
        _endpoint.Time.Advance(LongestPoll);

        var end = await closing.WithinLimit();
        Assert.Equal((CloseState.Closed, CloseOutcome.Graceful, 0L), (sut.State, end.Outcome, end.UnacknowledgedBytes));
        AssertNotAborted();
    }

    [Fact]
    public async Task PeerFin_CarriesTheAcknowledgement_EndsWithoutAPoll()
    {
        var closing = StartClose(Create());
        _output.SendFin();
        _output.Delivery = new DeliveryStatus(Progress: 1, IsDelivered: true, IsReset: false, UnacknowledgedBytes: 0);

        _peer.HalfClose();

        var end = await closing.WithinLimit();
        Assert.Equal((CloseOutcome.Graceful, TimeSpan.Zero), (end.Outcome, end.Duration));
    }

    [Fact]
    public async Task PeerFin_BehindBytesWhileTheKernelIsAsked_CountsTheBytes()
    {
        var closing = StartClose(Create());
        _output.Meanwhile = () =>
        {
            _output.Meanwhile = null;
            _peer.Send("abc");
            _peer.HalfClose(); // What it decides comes first, and what it does comes second: it sees nothing delivered.
            _output.Delivery = new DeliveryStatus(1, IsDelivered: true, IsReset: false, UnacknowledgedBytes: 0);
        };

        _output.SendFin();

        var end = await closing.WithinLimit();
        Assert.Equal((CloseOutcome.Graceful, 3L), (end.Outcome, end.DiscardedBytes));
    }

    [Fact]
    public void Flushing_Acknowledged_IsNoticedAtTheFirstPollAndNotBefore()
    {
        var sut = Create();
        _ = StartClose(sut);
        _output.SendFin();
        _output.Delivery = new DeliveryStatus(Progress: 1, IsDelivered: true, IsReset: false, UnacknowledgedBytes: 0);

        _endpoint.Time.Advance(FirstPoll - Tick);
        Assert.Equal(CloseState.Flushing, sut.State);
        _endpoint.Time.Advance(Tick);

        Assert.Equal(CloseState.Lingering, sut.State);
    }

    [Fact]
    public void Flushing_AcknowledgedLate_IsNoticedWithinTheLongestPoll()
    {
        var sut = Create();
        _ = StartClose(sut);
        _output.SendFin();
        for (var poll = 0; poll < 20; poll++)
        {
            _endpoint.Time.Advance(LongestPoll);
        }

        _output.Delivery = new DeliveryStatus(Progress: 1, IsDelivered: true, IsReset: false, UnacknowledgedBytes: 0);
        _endpoint.Time.Advance(LongestPoll);

        Assert.Equal(CloseState.Lingering, sut.State);
    }

    [Fact]
    public void Flushing_EverythingAcknowledgedButNoFinSent_StaysFlushing()
    {
        var sut = Create();
        _ = StartClose(sut);
        _output.Delivery = new DeliveryStatus(Progress: 1, IsDelivered: true, IsReset: false, UnacknowledgedBytes: 0);

        _endpoint.Time.Advance(Second);
        Assert.Equal(CloseState.Flushing, sut.State);
        _output.SendFin();

        Assert.Equal(CloseState.Lingering, sut.State);
    }

    [Fact]
    public async Task Flushing_PeerReadsATrickle_NeverStalls()
    {
        var sut = Create(options => options.CloseTimeout = TimeSpan.FromHours(1));
        var closing = StartClose(sut);
        _output.SendFin();

        // Ten times as long as both timeouts together, and each step almost as long as a stall.
        var step = _endpoint.Options.FlushStallTimeout - LongestPoll;
        for (var progress = 1; progress <= 15; progress++)
        {
            _output.Delivery = new DeliveryStatus(progress, IsDelivered: false, IsReset: false, UnacknowledgedBytes: 100 - progress);
            _endpoint.Time.Advance(LongestPoll);
            _endpoint.Time.Advance(step - Tick);
            Assert.Equal(CloseState.Flushing, sut.State);
        }

        Deliver();
        _peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await closing.WithinLimit()).Outcome);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Flushing_ProgressThenNone_StallsAtTheEdgeAfterTheLastProgress(bool atEdge)
    {
        var sut = Create();
        var closing = StartClose(sut);
        _output.SendFin();
        _output.Delivery = new DeliveryStatus(Progress: 1, IsDelivered: false, IsReset: false, UnacknowledgedBytes: 123);
        _endpoint.Time.Advance(FirstPoll); // Where the progress is noticed.

        _endpoint.Time.Advance(_endpoint.Options.FlushStallTimeout - (atEdge ? TimeSpan.Zero : Tick));

        // All of it is in the kernel, which goes on delivering.
        Assert.Equal(atEdge ? CloseState.Closed : CloseState.Flushing, sut.State);
        _endpoint.Time.Advance(TimerGrain);
        var end = await closing.WithinLimit();
        Assert.Equal((CloseOutcome.FlushTimedOut, 123L), (end.Outcome, end.UnacknowledgedBytes));
        AssertNotAborted();
    }

    [Fact]
    public async Task Flushing_KernelGaveUp_IsPeerReset()
    {
        var closing = StartClose(Create());
        _output.Delivery = new DeliveryStatus(Progress: 1, IsDelivered: false, IsReset: true, UnacknowledgedBytes: 7);

        _endpoint.Time.Advance(FirstPoll);

        var end = await closing.WithinLimit();
        Assert.Equal((CloseReason.HandlerCompleted, CloseOutcome.PeerReset, 7L), (end.Reason, end.Outcome, end.UnacknowledgedBytes));
        AssertAborted();
    }

    [Fact]
    public async Task Flushing_CloseTimeoutWithoutProgress_TellsWhatIsUnacknowledged()
    {
        var closing = StartClose(Create(options =>
        {
            options.FlushStallTimeout = Timeout.InfiniteTimeSpan;
            options.CloseTimeout = Second;
        }));
        _output.Delivery = new DeliveryStatus(Progress: 0, IsDelivered: false, IsReset: false, UnacknowledgedBytes: 99);

        _endpoint.Time.Advance(Second);

        var end = await closing.WithinLimit();
        Assert.Equal(new CloseResult { Reason = CloseReason.HandlerCompleted, Outcome = CloseOutcome.CloseTimedOut, Duration = Second, UnacknowledgedBytes = 99 }, end);
    }

    [Fact]
    public async Task MaxLingerBytes_BytesBeforeOurFin_DoNotCount()
    {
        var sut = Create(options => options.MaxLingerBytes = 2);
        var closing = StartClose(sut);

        _peer.Send("still flushing");
        Assert.Equal(CloseState.Flushing, sut.State);
        _output.SendFin();
        _peer.Send("ab");
        Assert.Equal(CloseState.Flushing, sut.State);
        _peer.Send("c");

        // After our FIN, and before its acknowledgement: the limit holds there too.
        var end = await closing.WithinLimit();
        Assert.Equal((CloseOutcome.LingerLimitExceeded, 17L), (end.Outcome, end.DiscardedBytes));
        AssertNotAborted();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void BlockedWrite_CloseRequestedAndSomeProgress_StallsAtTheEdgeAfterIt(bool atEdge)
    {
        var sut = Create();
        _output.IsBlocked = true;
        Assert.True(sut.TryRequestClose(CloseReason.Application));
        _endpoint.Time.Advance(Second);
        _output.Delivery = new DeliveryStatus(Progress: 1, IsDelivered: false, IsReset: false, UnacknowledgedBytes: 1);
        _endpoint.Time.Advance(LongestPoll); // Where the progress is noticed.

        _endpoint.Time.Advance(_endpoint.Options.FlushStallTimeout - (atEdge ? TimeSpan.Zero : Tick));

        Assert.Equal(atEdge ? CloseState.Aborted : CloseState.Open, sut.State);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void BlockedWrite_CloseRequestedLongBefore_StallsAtTheEdgeAfterItWasFoundBlocked(bool atEdge)
    {
        var sut = Create();
        sut.TryRequestClose(CloseReason.Application);
        for (var poll = 0; poll < 100; poll++)
        {
            _endpoint.Time.Advance(LongestPoll);
        }

        _output.IsBlocked = true;
        _endpoint.Time.Advance(LongestPoll); // The look that finds it blocked: late by that at most, never early.
        _endpoint.Time.Advance(_endpoint.Options.FlushStallTimeout - (atEdge ? TimeSpan.Zero : Tick));

        Assert.Equal(atEdge ? CloseState.Aborted : CloseState.Open, sut.State);
    }

    [Fact]
    public void TryRequestClose_Twice_IsFalseTheSecondTime()
    {
        var sut = Create();

        Assert.True(sut.TryRequestClose(CloseReason.Drain));
        Assert.False(sut.TryRequestClose(CloseReason.IdleTimeout));
        Assert.Equal(CloseReason.Drain, sut.Reason);
    }

    [Fact]
    public void TryRequestClose_HandlerReturned_IsFalse()
    {
        var sut = Create();
        _ = StartClose(sut);

        Assert.False(sut.TryRequestClose(CloseReason.Drain));
        Assert.False(sut.IsCloseRequested);
        Assert.Equal(CloseReason.HandlerCompleted, sut.Reason);
    }

    [Fact]
    public void TryRequestClose_Aborted_IsFalse()
    {
        var sut = Create();
        sut.Abort();

        Assert.False(sut.TryRequestClose(CloseReason.Drain));
        Assert.Equal(CloseReason.Application, sut.Reason);
    }

    [Fact]
    public async Task Closed_AskedBeforeAndAfterTheEnd_IsTheSameAndTellsTheFirstCause()
    {
        var sut = Create();
        var before = sut.Closed;
        Assert.False(before.IsCompleted);

        sut.OnFaulted(new IOException());
        sut.Abort();
        sut.OnPeerFin();
        sut.Evict();

        Assert.Same(before, sut.Closed);
        Assert.Equal(new CloseResult { Reason = CloseReason.PeerReset, Outcome = CloseOutcome.PeerReset, UnacknowledgedBytes = 0 }, await before.WithinLimit());
    }

    [Fact]
    public async Task Closed_AskedOnlyAfterTheEnd_HasTheResult()
    {
        var sut = Create();
        sut.Abort();

        Assert.Equal(CloseOutcome.Aborted, (await sut.Closed.WithinLimit()).Outcome);
    }

    [Fact]
    public async Task OnFaulted_NotThePeersDoing_IsAborted()
    {
        var sut = Create();

        sut.OnFaulted(new ObjectDisposedException("socket"));

        var end = await sut.Closed.WithinLimit();
        Assert.Equal((CloseReason.Application, CloseOutcome.Aborted), (end.Reason, end.Outcome));
    }

    // A relay, for example, that aborts a leg whose reset its read was told of, before a send was.
    [Fact]
    public async Task Abort_ReadWasToldOfAReset_IsPeerReset()
    {
        var sut = Create();
        _peer.Reset();
        await Assert.ThrowsAsync<ConnectionResetException>(() => _input.ReadAsync().WithinLimit());

        sut.OnFaulted(new ObjectDisposedException("socket"));

        var end = await sut.Closed.WithinLimit();
        Assert.Equal((CloseReason.PeerReset, CloseOutcome.PeerReset), (end.Reason, end.Outcome));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task SayGoodbyeAsync_PeerSendsMeanwhile_IsDiscardedAtOnce(bool isTls)
    {
        var sut = Create(kind: isTls ? InputKind.Tls : InputKind.Transport);
        sut.TryRequestClose(CloseReason.HostStopping);
        sut.OnHandlerReturned(CloseReason.HandlerCompleted);
        var goodbye = new TaskCompletionSource();
        var saying = sut.SayGoodbyeAsync((_, _) => new ValueTask(goodbye.Task)).AsTask();

        _peer.Send("abc");

        Assert.Equal(3, _input.DiscardedBytes);
        goodbye.SetResult();
        await saying.WithinLimit();
    }

    [Fact]
    public async Task CloseAsync_EndedBefore_DropsWhatWasNotFlushedAndIsNeverWatched()
    {
        var sut = Create();
        sut.Abort();

        sut.OnHandlerReturned(CloseReason.HandlerCompleted);
        var end = await EndAsync(sut).WithinLimit();

        Assert.Equal(CloseOutcome.Aborted, end.Outcome);
        Assert.Equal(LeftOver.Send, _output.EndedWith);
        Assert.Equal(0, _endpoint.Scope.Wheel.Count);
    }

    [Fact]
    public async Task CloseAsync_Ended_IsWatchedNoMore()
    {
        var closing = StartClose(Create());
        Assert.Equal(LeftOver.Send, _output.EndedWith);
        Assert.Equal(1, _endpoint.Scope.Wheel.Count);
        Deliver();
        _peer.HalfClose();

        await closing.WithinLimit();

        Assert.Equal(0, _endpoint.Scope.Wheel.Count);
    }

    [Fact]
    public async Task FinSent_PeersFinComesSoon_AsksTheKernelOnce()
    {
        var sut = Create();
        _output.LookCosts = true;
        var closing = StartClose(sut);

        _output.Delivery = new DeliveryStatus(1, IsDelivered: true, IsReset: false, UnacknowledgedBytes: 0);
        _output.SendFin();
        Assert.Equal((0, CloseState.Flushing), (_output.Looks, sut.State));
        _peer.HalfClose();

        Assert.Equal(CloseOutcome.Graceful, (await closing.WithinLimit()).Outcome);
        Assert.Equal(1, _output.Looks);
    }

    [Fact]
    public async Task FinSent_PeerStaysSilent_LooksForItsAckAfterTheShortestPoll()
    {
        var sut = Create();
        _output.LookCosts = true;
        var closing = StartClose(sut);
        _output.Delivery = new DeliveryStatus(1, IsDelivered: true, IsReset: false, UnacknowledgedBytes: 0);
        _output.SendFin();

        _endpoint.Time.Advance(CloseDeadlines.ShortestPoll + TimerGrain);

        Assert.Equal((1, CloseState.Lingering), (_output.Looks, sut.State));
        _peer.HalfClose();
        await closing.WithinLimit();
    }

    public ValueTask DisposeAsync() => _peer.DisposeAsync();

    private Closer Create(Action<GracefulCloseOptions>? configure = null, InputKind kind = InputKind.Transport)
    {
        _endpoint = new TestEndpoint(configure);
        var closer = new Closer(_peer, _endpoint.Scope);
        _output = new FakeOutput(closer) { Delivery = new DeliveryStatus(0, IsDelivered: false, IsReset: false, UnacknowledgedBytes: 0) };
        _input = new ReadPump(_peer.Transport.Input, null, kind, closer);
        closer.Attach(_input, _output);
        return closer;
    }

    private static Task<CloseResult> StartClose(Closer closer)
    {
        closer.OnHandlerReturned(CloseReason.HandlerCompleted);
        return EndAsync(closer);
    }

    private static async Task<CloseResult> EndAsync(Closer closer)
    {
        await closer.CloseAsync(LeftOver.Send);
        return Assert.NotNull(closer.Result);
    }

    private void Deliver()
    {
        _output.Delivery = new DeliveryStatus(_output.Delivery.Progress + 1, IsDelivered: true, IsReset: false, UnacknowledgedBytes: 0);
        _output.SendFin();
    }

    private void AssertAborted()
    {
        Assert.True(_output.IsAborted);
        Assert.NotNull(_peer.AbortReason);
    }

    private void AssertNotAborted()
    {
        Assert.False(_output.IsAborted);
        Assert.Null(_peer.AbortReason);
    }
}
