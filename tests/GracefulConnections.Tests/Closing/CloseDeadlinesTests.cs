using GracefulConnections.Closing;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Closing;

/// <summary>Each limit one tick before its time and at it.</summary>
public class CloseDeadlinesTests
{
    private static readonly TimeSpan Start = TimeSpan.FromSeconds(1000);
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);

    private readonly GracefulCloseOptions _options = new()
    {
        FlushStallTimeout = TimeSpan.FromSeconds(20),
        LingerIdleTimeout = TimeSpan.FromSeconds(5),
        CloseTimeout = TimeSpan.FromSeconds(50),
        GoodbyeTimeout = TimeSpan.FromSeconds(2),
    };

    private CloseObservation _seen = new() { CanHalfClose = true, SeesAcknowledgements = true };

    [Fact]
    public void Open_NothingPending_IsOnlyLookedAtAgain() => AssertNext(Facts(CloseState.Open), TimeSpan.FromMilliseconds(10));

    [Fact]
    public void Open_WriteBlocked_StallsAfterFlushStallTimeout() =>
        AssertDue(Facts(CloseState.Open) with { WriteBlocked = true }, CloseEvent.FlushStalled, _options.FlushStallTimeout);

    [Fact]
    public void Open_HandlerReturned_IsBoundByCloseTimeout() =>
        AssertDue(Facts(CloseState.Open) with { HandlerReturned = true }, CloseEvent.CloseTimedOut, _options.CloseTimeout);

    [Fact]
    public void Open_HandlerReturnedAndProgressLater_CountsFromTheProgress() => AssertDue(
        Facts(CloseState.Open) with { HandlerReturned = true, ProgressAt = Start + TimeSpan.FromSeconds(7) },
        CloseEvent.CloseTimedOut,
        _options.CloseTimeout + TimeSpan.FromSeconds(7));

    [Theory]
    [InlineData(2, 2)]
    [InlineData(500, 50)]
    public void Goodbye_BeingSaid_ExpiresAfterItsTimeoutOrCloseTimeout(int timeout, int expected)
    {
        _options.GoodbyeTimeout = TimeSpan.FromSeconds(timeout);

        AssertDue(
            Facts(CloseState.Open) with { HandlerReturned = true, GoodbyeSince = Start },
            CloseEvent.GoodbyeExpired,
            TimeSpan.FromSeconds(expected));
    }

    [Theory]
    [InlineData(20, 50, false)]
    [InlineData(50, 50, false)]
    [InlineData(-1, 50, true)]
    [InlineData(60, 50, true)]
    public void Flushing_NoProgress_TheShorterOfBothLimitsDecides(int stall, int close, bool isCloseTimeout)
    {
        _options.FlushStallTimeout = stall < 0 ? Timeout.InfiniteTimeSpan : TimeSpan.FromSeconds(stall);
        _options.CloseTimeout = TimeSpan.FromSeconds(close);

        AssertDue(
            Facts(CloseState.Flushing),
            isCloseTimeout ? CloseEvent.CloseTimedOut : CloseEvent.FlushStalled,
            isCloseTimeout ? _options.CloseTimeout : _options.FlushStallTimeout);
    }

    [Fact]
    public void Flushing_LookedAtMoreOften_NextIsThePoll() => AssertNext(
        Facts(CloseState.Flushing) with { Poll = TimeSpan.FromMilliseconds(40) }, TimeSpan.FromMilliseconds(40));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Flushing_OnlyOurFinMissing_EndsAtADrainsCap(bool isDrain)
    {
        _seen = _seen with { Delivery = new DeliveryStatus(0, false, false, 0, IsOnlyFinMissing: true) };
        var cap = TimeSpan.FromSeconds(1);

        AssertDue(
            Facts(CloseState.Flushing) with { LingerCap = isDrain ? cap : null },
            isDrain ? CloseEvent.LingerSilent : CloseEvent.FlushStalled,
            isDrain ? cap : _options.FlushStallTimeout);
    }

    [Theory]
    [InlineData(CloseState.Open)]
    [InlineData(CloseState.HalfClosed)]
    [InlineData(CloseState.Flushing)]
    public void EndsByReset_EverythingAcknowledged_ResetsASecondLater(CloseState state) => AssertDue(
        Facts(state) with { EndsByReset = true, AcknowledgedAt = Start }, CloseEvent.ResetDue, CloseDeadlines.ResetDelay);

    [Fact]
    public void EndsByReset_PeerHasSentFin_ResetsAtOnce() => AssertDue(
        Facts(CloseState.Flushing) with { EndsByReset = true, AcknowledgedAt = Start, PeerFin = true },
        CloseEvent.ResetDue,
        TimeSpan.Zero);

    [Fact]
    public void EndsByReset_NotAcknowledged_Stalls() => AssertDue(
        Facts(CloseState.Flushing) with { EndsByReset = true }, CloseEvent.FlushStalled, _options.FlushStallTimeout);

    [Fact]
    public void EndsByServer_EverythingAcknowledged_EndsAtOnce() => AssertDue(
        Facts(CloseState.Flushing) with { EndsByServer = true, AcknowledgedAt = Start },
        CloseEvent.QuietAfterDelivery,
        TimeSpan.Zero);

    [Theory]
    [InlineData(null, 5)]
    [InlineData(1, 1)]
    [InlineData(9, 5)]
    public void Lingering_PeerSilent_TheShorterOfItsLimitAndADrainsDecides(int? cap, int expected) => AssertDue(
        Facts(CloseState.Lingering) with { LingerCap = cap is { } seconds ? TimeSpan.FromSeconds(seconds) : null },
        CloseEvent.LingerSilent,
        TimeSpan.FromSeconds(expected));

    [Fact]
    public void Lingering_NoLimitAndADrain_EndsAtItsCap()
    {
        _options.LingerIdleTimeout = Timeout.InfiniteTimeSpan;

        AssertDue(
            Facts(CloseState.Lingering) with { LingerCap = TimeSpan.FromSeconds(1) },
            CloseEvent.LingerSilent,
            TimeSpan.FromSeconds(1));
    }

    [Theory]
    [InlineData(true, CloseEvent.QuietAfterDelivery)]
    [InlineData(false, CloseEvent.LingerSilent)]
    public void Lingering_OutputAcknowledgedAsked_TheQuietTailCountsWhereAcknowledgementsCanBeSeen(bool sees, object expected)
    {
        _options.LingerUntil = LingerUntil.OutputAcknowledged;
        _seen = _seen with { SeesAcknowledgements = sees };

        AssertDue(Facts(CloseState.Lingering), (CloseEvent)expected, sees ? CloseDeadlines.QuietTail : _options.LingerIdleTimeout);
    }

    [Fact]
    public void Lingering_NoSilenceLimit_IsBoundByCloseTimeout()
    {
        _options.LingerIdleTimeout = Timeout.InfiniteTimeSpan;

        AssertDue(Facts(CloseState.Lingering), CloseEvent.CloseTimedOut, _options.CloseTimeout);
    }

    [Fact]
    public void Lingering_BytesInTheKernel_GivesGraceOnceAndThenDecides()
    {
        _seen = _seen with { IsBehind = true };
        AssertDue(Facts(CloseState.Lingering), CloseEvent.GraceGiven, _options.LingerIdleTimeout);

        AssertDue(
            Facts(CloseState.Lingering) with { GraceEnd = Start + TimeSpan.FromSeconds(6) },
            CloseEvent.LingerSilent,
            TimeSpan.FromSeconds(6));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Lingering_PeersFinInTheKernel_IsThePeersEnd(bool hadGrace)
    {
        _seen = _seen with { IsBehind = true, HasPeerFin = true };

        AssertDue(
            Facts(CloseState.Lingering) with { GraceEnd = hadGrace ? Start + TimeSpan.FromSeconds(6) : null },
            CloseEvent.PeerFin,
            _options.LingerIdleTimeout);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Lingering_LookComesLate_GivesGraceFromASecondOn(bool atEdge)
    {
        var now = Start + TimeSpan.FromSeconds(100);
        _options.CloseTimeout = TimeSpan.FromSeconds(500);
        var facts = Facts(CloseState.Lingering) with { DueAt = now - CloseDeadlines.Grace + (atEdge ? TimeSpan.Zero : Tick) };

        var due = CloseDeadlines.Get(facts, _options, _seen, now).Due;

        Assert.Equal(atEdge ? CloseEvent.GraceGiven : CloseEvent.LingerSilent, due);
    }

    [Theory]
    [InlineData(CloseState.Flushing)]
    [InlineData(CloseState.Lingering)]
    public void Discarded_MoreThanTheLimitAfterOurFin_IsDueAtOnce(CloseState state)
    {
        var facts = Facts(state) with { FinSent = true, DiscardLimit = 15 };

        Assert.Equal(CloseEvent.None, CloseDeadlines.Get(facts, _options, _seen with { DiscardedBytes = 15 }, Start).Due);
        Assert.Equal(
            CloseEvent.LingerLimitExceeded, CloseDeadlines.Get(facts, _options, _seen with { DiscardedBytes = 16 }, Start).Due);
    }

    [Theory]
    [InlineData(CloseState.Closed)]
    [InlineData(CloseState.Aborted)]
    public void Final_AnyTime_IsNeverDue(CloseState state) =>
        Assert.Equal(
            new CloseDeadlines(CloseEvent.None, TimeSpan.MaxValue),
            CloseDeadlines.Get(Facts(state), _options, _seen, TimeSpan.FromDays(1000)));

    // The longest time between two looks is so long here that only the limits are seen.
    private static CloseFacts Facts(CloseState state) => CloseFacts.Initial with
    {
        State = state,
        ClosingSince = Start,
        ProgressAt = Start,
        DeliveredAt = Start,
        LastByteAt = Start,
    };

    private void AssertDue(in CloseFacts facts, CloseEvent limit, TimeSpan after)
    {
        var never = facts with { Poll = TimeSpan.FromDays(1) };
        if (after > TimeSpan.Zero)
        {
            Assert.Equal(
                new CloseDeadlines(CloseEvent.None, Start + after),
                CloseDeadlines.Get(never, _options, _seen, Start + after - Tick));
        }

        Assert.Equal(limit, CloseDeadlines.Get(never, _options, _seen, Start + after).Due);
    }

    private void AssertNext(in CloseFacts facts, TimeSpan after) => Assert.Equal(
        new CloseDeadlines(CloseEvent.None, Start + after), CloseDeadlines.Get(facts, _options, _seen, Start));
}
