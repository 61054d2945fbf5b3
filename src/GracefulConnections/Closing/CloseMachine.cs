using GracefulConnections.Transport;

namespace GracefulConnections.Closing;

/// <summary>
/// Every decision of a close: what an event means in a state, which outcome it has, and whether the end is FIN or RST.
/// Pure: no lock, no socket, no clock, no log. An event that means nothing in a state changes nothing.
/// </summary>
internal static partial class CloseMachine
{
    /// <summary>
    /// Returns the facts after an event, and what they ask for. The first cause wins, and a final state is final.
    /// </summary>
    public static (CloseFacts Facts, CloseEffects Effects) On(
        in CloseFacts facts, CloseEvent e, in CloseObservation seen, TimeSpan now)
    {
        CloseTrace.Note(facts.State, e);
        if (facts.IsFinal)
        {
            return (facts, CloseEffects.None);
        }

        var (after, effects) = facts.State switch
        {
            CloseState.Open or CloseState.HalfClosed => OnServing(facts, e, seen, now),
            CloseState.Flushing => OnFlushing(facts, e, seen, now),
            _ => OnLingering(facts, e, seen, now),
        };
        return after.IsFinal ? (after, CloseEffects.End)
            : facts.State != after.State && after.State == CloseState.Lingering ? (after, effects | CloseEffects.Linger)
            : (after, effects);
    }

    private static (CloseFacts Facts, CloseEffects Effects) OnServing(
        in CloseFacts facts, CloseEvent e, in CloseObservation seen, TimeSpan now)
    {
        switch (e)
        {
            case CloseEvent.CloseRequested when !facts.IsRequested && !facts.HandlerReturned:
                // A write that the handler is blocked in is bounded from now on.
                var requested = facts with
                {
                    IsRequested = true,
                    Reason = First(facts.Reason, seen.Reason),
                    RequestedAt = now,
                    ProgressAt = now,
                    WriteBlocked = seen.IsWriteBlocked,
                };
                return (requested, CloseEffects.Requested | CloseEffects.LookLater);

            case CloseEvent.OutputCompleted:
                return (facts with { State = CloseState.HalfClosed }, CloseEffects.None);

            case CloseEvent.OutputFaulted:
                return OnOutputFaulted(facts, seen, now);

            case CloseEvent.HandlerReturned when !facts.HandlerReturned:
                return (OnHandlerReturned(facts, seen, now), CloseEffects.BeginClose);

            case CloseEvent.FlushAwaited when seen.IsWriteBlocked:
                return (facts with { AwaitsFlush = true, Poll = CloseDeadlines.ShortestPoll }, CloseEffects.LookSoon);

            case CloseEvent.GoodbyeBegan
                when facts is { State: CloseState.Open, IsRequested: true, HandlerReturned: true }:
                return (facts with { GoodbyeSince = now }, CloseEffects.SayGoodbye | CloseEffects.Wake);

            case CloseEvent.GoodbyeEnded or CloseEvent.GoodbyeExpired when facts.GoodbyeSince is not null:
                return (
                    facts with { GoodbyeSince = null, ProgressAt = now },
                    e == CloseEvent.GoodbyeExpired ? CloseEffects.ExpireGoodbye : CloseEffects.None);

            case CloseEvent.Sealed when facts.HandlerReturned:
                var isSealed = facts with
                {
                    State = CloseState.Flushing,
                    ProgressAt = now,
                    Poll = CloseDeadlines.ShortestPoll,
                    GoodbyeSince = null,
                    EndsByReset = facts.EndsByReset || seen.LeftOver == LeftOver.SendThenReset,
                    EndsByServer = facts.EndsByServer || seen.LeftOver == LeftOver.SendThenClose,
                };

                // A handler that completed its output long ago leaves nothing to send that would tell.
                return (isSealed, CloseEffects.LookSoon | (facts.FinSent ? CloseEffects.Look : CloseEffects.None));

            case CloseEvent.Looked:
                return OnServingLooked(facts, seen, now);

            case CloseEvent.FlushStalled:
                return (End(facts, CloseState.Aborted, CloseOutcome.FlushTimedOut, seen, now), CloseEffects.None);

            case CloseEvent.CloseTimedOut:
                return (End(facts, CloseState.Aborted, CloseOutcome.CloseTimedOut, seen, now), CloseEffects.None);

            default:
                return OnAny(facts, e, seen, now);
        }
    }

    private static (CloseFacts Facts, CloseEffects Effects) OnFlushing(
        in CloseFacts facts, CloseEvent e, in CloseObservation seen, TimeSpan now)
    {
        switch (e)
        {
            case CloseEvent.OutputFaulted:
                return OnOutputFaulted(facts, seen, now);

            // The ACK is on its way, and mostly the peer's FIN comes soon after it: one look then tells as much as two.
            case CloseEvent.FinSent when seen.IsLookCostly && !facts.PeerFin:
                return OnAny(facts, e, seen, now);

            case CloseEvent.FinSent:
            case CloseEvent.PeerFin when facts.FinSent:
                return (OnAny(facts, e, seen, now).Facts, CloseEffects.Look);

            case CloseEvent.Looked:
                return (OnFlushingLooked(facts, seen, now), CloseEffects.None);

            // Nothing was taken over from the server, which ends the connection.
            case CloseEvent.FlushStalled or CloseEvent.CloseTimedOut
                when !seen.CanHalfClose && !facts.EndsByReset && !facts.EndsByServer:
                return (End(facts, CloseState.Closed, CloseOutcome.LeftToServer, seen, now), CloseEffects.None);

            case CloseEvent.FlushStalled:
            case CloseEvent.LingerSilent:
                return (Limit(facts, e, seen, now), CloseEffects.None);

            case CloseEvent.QuietAfterDelivery:
                return (End(facts, CloseState.Closed, CloseOutcome.Acknowledged, seen, now), CloseEffects.None);

            default:
                return OnClosing(facts, e, seen, now);
        }
    }

    private static (CloseFacts Facts, CloseEffects Effects) OnLingering(
        in CloseFacts facts, CloseEvent e, in CloseObservation seen, TimeSpan now)
    {
        switch (e)
        {
            case CloseEvent.PeerFin:
                return (End(facts, CloseState.Closed, CloseOutcome.Graceful, seen, now), CloseEffects.None);

            case CloseEvent.QuietAfterDelivery:
                return (End(facts, CloseState.Closed, CloseOutcome.Acknowledged, seen, now), CloseEffects.None);

            case CloseEvent.GraceGiven when facts.GraceEnd is null:
                return (facts with { GraceEnd = now + CloseDeadlines.Grace }, CloseEffects.None);

            case CloseEvent.LingerSilent:
                return (Limit(facts, e, seen, now), CloseEffects.None);

            default:
                return OnClosing(facts, e, seen, now);
        }
    }

    // Flushing and lingering alike.
    private static (CloseFacts Facts, CloseEffects Effects) OnClosing(
        in CloseFacts facts, CloseEvent e, in CloseObservation seen, TimeSpan now) => e switch
        {
            CloseEvent.LingerCapped => (OnAny(facts, e, seen, now).Facts, CloseEffects.Wake),
            CloseEvent.BytesDiscarded when facts.IsOverLingerBytes(seen.DiscardedBytes) =>
                (OnAny(facts, e, seen, now).Facts, CloseEffects.Look),
            CloseEvent.Evicted or CloseEvent.LingerLimitExceeded or CloseEvent.CloseTimedOut =>
                (Limit(facts, e, seen, now), CloseEffects.None),
            CloseEvent.DrainTimedOut when !seen.IsInputReset => (Limit(facts, e, seen, now), CloseEffects.None),
            _ => OnAny(facts, e, seen, now),
        };

    private static (CloseFacts Facts, CloseEffects Effects) OnAny(
        in CloseFacts facts, CloseEvent e, in CloseObservation seen, TimeSpan now)
    {
        var after = e switch
        {
            CloseEvent.FinSending => facts with
            {
                DiscardLimit = Math.Min(facts.DiscardLimit, long.MaxValue - seen.DiscardedBytes) + seen.DiscardedBytes,
            },
            CloseEvent.FinSent => facts with { FinSent = true, ProgressAt = now },
            CloseEvent.AllSent => facts with { AllSent = true, ProgressAt = now },
            CloseEvent.PeerFin => facts with { PeerFin = true },
            CloseEvent.BytesDiscarded => facts with { LastByteAt = now, GraceEnd = null },
            CloseEvent.LingerCapped => facts with
            {
                LingerCap = facts.LingerCap is { } cap && cap < seen.Cap ? cap : seen.Cap,
            },
            CloseEvent.ClosedByServer when seen.IsWhole =>
                End(facts with { LeavesTransport = true }, CloseState.Closed, CloseOutcome.Graceful, seen, now),
            CloseEvent.ClosedByServer => Abort(facts with { LeavesTransport = true }, seen, now),
            CloseEvent.InnerAborted => facts with
            {
                State = CloseState.Aborted,
                Reason = seen.Inner!.Value.Reason,
                Result = seen.Inner.Value,
            },
            CloseEvent.PeerReset => Reset(facts, seen, now),
            CloseEvent.Abort or CloseEvent.DrainTimedOut or CloseEvent.ResetDue => Abort(facts, seen, now),
            _ => facts,
        };
        return (after, CloseEffects.None);
    }

    // Some frameworks complete every output with an exception. Where nothing can be missing it is an end like any
    // other.
    private static (CloseFacts Facts, CloseEffects Effects) OnOutputFaulted(
        in CloseFacts facts, in CloseObservation seen, TimeSpan now)
    {
        var after = facts.State == CloseState.Open ? facts with { State = CloseState.HalfClosed } : facts;
        if (facts.PeerFin || seen.IsWhole)
        {
            return (after, CloseEffects.SendFin);
        }

        after = after with
        {
            Reason = First(facts.Reason, CloseReason.HandlerFaulted),
            EndsByReset = seen.LeftOver != LeftOver.SendThenClose,
            EndsByServer = seen.LeftOver == LeftOver.SendThenClose,
            ProgressAt = now,
            Poll = CloseDeadlines.ShortestPoll,
        };
        return (after, CloseEffects.LookSoon);
    }

    private static CloseFacts OnHandlerReturned(in CloseFacts facts, in CloseObservation seen, TimeSpan now) =>
        facts with
        {
            HandlerReturned = true,
            Reason = First(facts.Reason, seen.Inner?.Reason ?? seen.Reason),
            ClosingSince = seen.Inner is null ? now : seen.InnerSince,
            InnerWasGraceful = seen.Inner is { Outcome: CloseOutcome.Graceful },
            InnerDiscardedBytes = seen.Inner?.DiscardedBytes ?? 0,
            UnacknowledgedBytes = seen.Inner?.UnacknowledgedBytes,
        };
}
