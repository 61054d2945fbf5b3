namespace GracefulConnections.Closing;

/// <summary>The limits of time. Pure: it looks at no clock, and changes nothing.</summary>
/// <param name="Due">The limit that is reached; <see cref="CloseEvent.None"/> for none.</param>
/// <param name="Next">When to look again, if nothing is due.</param>
internal readonly record struct CloseDeadlines(CloseEvent Due, TimeSpan Next)
{
    /// <summary>
    /// How long the peer must be quiet after everything was acknowledged, with <see
    /// cref="LingerUntil.OutputAcknowledged"/>.
    /// </summary>
    public static readonly TimeSpan QuietTail = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// How long an RST that tells of a missing part comes after the last ACK, because some systems throw away what the
    /// peer's program has not read when the RST arrives.
    /// </summary>
    public static readonly TimeSpan ResetDelay = TimeSpan.FromSeconds(1);

    /// <summary>
    /// How much longer a peer gets that only seems to be silent, because something of it waits in the kernel or because
    /// this process did not run for a while.
    /// </summary>
    public static readonly TimeSpan Grace = TimeSpan.FromSeconds(1);

    // No kernel tells when an ACK arrives, so it is looked for: soon at first, as most come within a round trip, then
    // less often.
    public static readonly TimeSpan ShortestPoll = TimeSpan.FromMilliseconds(10);
    public static readonly TimeSpan LongestPoll = TimeSpan.FromMilliseconds(250);

    /// <summary>Returns the limit that is due by <paramref name="now"/>, or when to look again.</summary>
    public static CloseDeadlines Get(
        in CloseFacts facts, GracefulCloseOptions options, in CloseObservation seen, TimeSpan now)
    {
        var deadlines = new CloseDeadlines(CloseEvent.None, TimeSpan.MaxValue);
        return facts.State switch
        {
            CloseState.Open or CloseState.HalfClosed => deadlines.ForOpen(facts, options, now),
            CloseState.Flushing => deadlines.ForFlushing(facts, options, seen, now),
            CloseState.Lingering => deadlines.ForLingering(facts, options, seen, now),
            _ => deadlines,
        };
    }

    private CloseDeadlines ForOpen(in CloseFacts facts, GracefulCloseOptions options, TimeSpan now)
    {
        var deadlines = this;
        if (facts.GoodbyeSince is { } goodbyeSince)
        {
            deadlines = deadlines
                .With(TimerWheel.Add(goodbyeSince, options.GoodbyeTimeout), CloseEvent.GoodbyeExpired, now)
                .With(TimerWheel.Add(facts.ClosingSince, options.CloseTimeout), CloseEvent.GoodbyeExpired, now);
        }
        else if (facts.HandlerReturned)
        {
            var since = facts.ProgressAt < facts.ClosingSince ? facts.ClosingSince : facts.ProgressAt;
            deadlines = deadlines.With(TimerWheel.Add(since, options.CloseTimeout), CloseEvent.CloseTimedOut, now);
        }

        if (facts.WriteBlocked)
        {
            deadlines = deadlines.With(
                TimerWheel.Add(facts.ProgressAt, options.FlushStallTimeout), CloseEvent.FlushStalled, now);
        }

        return (facts.EndsByReset ? deadlines.ForReset(facts, options, now) : deadlines).Poll(facts, now);
    }

    private CloseDeadlines ForFlushing(
        in CloseFacts facts, GracefulCloseOptions options, in CloseObservation seen, TimeSpan now)
    {
        if (facts.EndsByReset || facts.EndsByServer)
        {
            return ForReset(facts, options, now).Poll(facts, now);
        }

        var deadlines = ForDiscard(facts, seen, now).ForStall(facts, options, now);
        if (facts.LingerCap is { } cap && seen.Delivery.IsOnlyFinMissing)
        {
            // A peer that has vanished never acknowledges our FIN. It must not hold a drain for that alone.
            deadlines = deadlines.With(TimerWheel.Add(facts.ProgressAt, cap), CloseEvent.LingerSilent, now);
        }

        return deadlines.Poll(facts, now);
    }

    private CloseDeadlines ForLingering(
        in CloseFacts facts, GracefulCloseOptions options, in CloseObservation seen, TimeSpan now)
    {
        var timeout = options.LingerIdleTimeout;
        if (facts.LingerCap is { } cap && (timeout == Timeout.InfiniteTimeSpan || cap < timeout))
        {
            timeout = cap;
        }

        var (silence, silentAt) = (CloseEvent.LingerSilent, TimerWheel.Add(facts.LastByteAt, timeout));
        if (options.LingerUntil == LingerUntil.OutputAcknowledged && seen.SeesAcknowledgements)
        {
            var quietAt = TimerWheel.Add(facts.LastByteAt, QuietTail);
            (silence, silentAt) = quietAt <= silentAt ? (CloseEvent.QuietAfterDelivery, quietAt) : (silence, silentAt);
        }

        if (seen.HasPeerFin)
        {
            silence = CloseEvent.PeerFin; // Not the peer is late, the reader is that would tell.
        }
        else if (facts.GraceEnd is { } graceEnd)
        {
            silentAt = Earlier(graceEnd, silentAt) == silentAt ? graceEnd : silentAt;
        }
        else if (seen.IsBehind || now - facts.DueAt >= Grace)
        {
            // Not the peer is silent, we are late. A process that was starved or frozen must not take that for silence.
            // Bytes that no read returns, such as an urgent one, must not hold the connection for ever, so the grace is
            // given once.
            silence = CloseEvent.GraceGiven;
        }

        return ForDiscard(facts, seen, now)
            .With(silentAt, silence, now)
            .With(TimerWheel.Add(facts.DeliveredAt, options.CloseTimeout), CloseEvent.CloseTimedOut, now);
    }

    // Behind the last ACK, and some time for the peer to read, comes our RST.
    private CloseDeadlines ForReset(in CloseFacts facts, GracefulCloseOptions options, TimeSpan now)
    {
        if (facts.AcknowledgedAt is not { } acknowledgedAt)
        {
            return ForStall(facts, options, now);
        }

        return facts.EndsByReset
            ? With(facts.PeerFin ? acknowledgedAt : acknowledgedAt + ResetDelay, CloseEvent.ResetDue, now)
            : With(acknowledgedAt, CloseEvent.QuietAfterDelivery, now);
    }

    // A flush that makes progress is not cut, however long it takes. CloseTimeout bounds one that makes none.
    private CloseDeadlines ForStall(in CloseFacts facts, GracefulCloseOptions options, TimeSpan now) =>
        With(TimerWheel.Add(facts.ProgressAt, options.FlushStallTimeout), CloseEvent.FlushStalled, now)
            .With(TimerWheel.Add(facts.ProgressAt, options.CloseTimeout), CloseEvent.CloseTimedOut, now);

    private CloseDeadlines ForDiscard(in CloseFacts facts, in CloseObservation seen, TimeSpan now) =>
        facts.IsOverLingerBytes(seen.DiscardedBytes) ? With(TimeSpan.Zero, CloseEvent.LingerLimitExceeded, now) : this;

    private CloseDeadlines Poll(in CloseFacts facts, TimeSpan now) =>
        this with { Next = Earlier(Next, now + facts.Poll) };

    // The earliest limit decides; of two that are reached together the one named first.
    private CloseDeadlines With(TimeSpan at, CloseEvent limit, TimeSpan now) =>
        at >= Next ? this : new CloseDeadlines(now >= at ? limit : Due, at);

    private static TimeSpan Earlier(TimeSpan a, TimeSpan b) => a < b ? a : b;
}
