namespace GracefulConnections.Closing;

/// <content>How a connection ends, and whether by FIN or RST.</content>
internal static partial class CloseMachine
{
    /// <summary>
    /// Returns whether output that did not arrive deserves a report: it was lost outside of a drain, which reports its
    /// own, and not because the application or the peer wanted so. Anybody can connect and reset, and a log must not
    /// fill up with that.
    /// </summary>
    public static bool IsLoss(in CloseFacts facts) => facts.LingerCap is null && facts.Result.Outcome is not (
        CloseOutcome.None
        or CloseOutcome.Graceful
        or CloseOutcome.Acknowledged
        or CloseOutcome.PeerReset
        or CloseOutcome.Aborted);

    /// <summary>
    /// Returns the facts with every byte counted that came before the peer's FIN. The end was decided by a look, and
    /// another thread may have discarded the last bytes, and told of the FIN, between that look and the decision.
    /// </summary>
    public static CloseFacts Finish(in CloseFacts facts, long discardedBytes) => facts.State == CloseState.Closed
        ? facts with
        {
            Result = facts.Result with { DiscardedBytes = discardedBytes + facts.InnerDiscardedBytes },
        }
        : facts;

    private static CloseFacts Linger(in CloseFacts facts, in CloseObservation seen, TimeSpan now)
    {
        if (!seen.CanHalfClose)
        {
            // The peer does not know of the end yet, so there is no FIN to wait for.
            return End(facts, CloseState.Closed, CloseOutcome.LeftToServer, seen, now);
        }

        var lingering = facts with
        {
            State = CloseState.Lingering,
            UnacknowledgedBytes = seen.Delivery.UnacknowledgedBytes,
            DeliveredAt = now,
            LastByteAt = now,
            DueAt = TimeSpan.MaxValue,
        };
        return facts.PeerFin ? End(lingering, CloseState.Closed, CloseOutcome.Graceful, seen, now) : lingering;
    }

    // Once all output and our FIN are in the kernel, a limit closes the descriptor and the kernel goes on delivering,
    // as it does after every close. Before that, what is still here would look delivered, so a limit is RST.
    private static CloseFacts Limit(in CloseFacts facts, CloseEvent limit, in CloseObservation seen, TimeSpan now)
    {
        var isInKernel = facts is { FinSent: true, EndsByReset: false }
            && (facts.State == CloseState.Lingering || seen.IsFinInKernel);
        var outcome = limit switch
        {
            CloseEvent.FlushStalled => CloseOutcome.FlushTimedOut,
            CloseEvent.LingerSilent => CloseOutcome.LingerTimedOut,
            CloseEvent.LingerLimitExceeded => CloseOutcome.LingerLimitExceeded,
            CloseEvent.Evicted => CloseOutcome.LingerEvicted,
            CloseEvent.DrainTimedOut => CloseOutcome.Aborted,
            _ => CloseOutcome.CloseTimedOut,
        };
        return End(facts, isInKernel ? CloseState.Closed : CloseState.Aborted, outcome, seen, now);
    }

    private static CloseFacts Reset(in CloseFacts facts, in CloseObservation seen, TimeSpan now) =>
        facts is { InnerWasGraceful: true, State: not CloseState.Lingering }
            // Inside of TLS both sides have said their end, and everything had arrived. The peer is gone and answers
            // our close_notify or our FIN in that way.
            ? End(facts with { State = CloseState.Lingering }, CloseState.Closed, CloseOutcome.Graceful, seen, now)
            : End(facts, CloseState.Aborted, CloseOutcome.PeerReset, seen, now);

    // The handler may have seen the peer's reset, and aborted what was left before a send could tell.
    private static CloseFacts Abort(in CloseFacts facts, in CloseObservation seen, TimeSpan now) =>
        seen.IsInputReset ? Reset(facts, seen, now) : End(facts, CloseState.Aborted, CloseOutcome.Aborted, seen, now);

    private static CloseFacts End(
        in CloseFacts facts, CloseState state, CloseOutcome outcome, in CloseObservation seen, TimeSpan now)
    {
        var isReset = outcome == CloseOutcome.PeerReset;
        var reason = First(facts.Reason, isReset ? CloseReason.PeerReset : CloseReason.Application);
        return facts with
        {
            State = state,
            Reason = reason,
            Result = new CloseResult
            {
                Reason = reason,
                Outcome = outcome,
                Duration = facts.HandlerReturned && now > facts.ClosingSince ? now - facts.ClosingSince : TimeSpan.Zero,
                DiscardedBytes = seen.DiscardedBytes + facts.InnerDiscardedBytes,

                // Once our FIN was delivered nothing can be missing any more, and the kernel was not asked again.
                UnacknowledgedBytes = facts.State == CloseState.Lingering
                    ? facts.UnacknowledgedBytes
                    : seen.Delivery.UnacknowledgedBytes,
            },
        };
    }

    private static CloseReason First(CloseReason first, CloseReason second) =>
        first == CloseReason.None ? second : first;
}
