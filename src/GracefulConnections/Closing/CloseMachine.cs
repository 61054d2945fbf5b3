using GracefulConnections.Transport;

namespace GracefulConnections.Closing;

/// <summary>
/// Every decision of a close: what an event means in a state, which outcome it has, and whether the end is FIN or RST. Pure: no
/// lock, no socket, no clock, no log. An event that means nothing in a state changes nothing.
/// </summary>
internal static class CloseMachine
{
    /// <summary>Returns the facts after an event, and what they ask for. The first cause wins, and a final state is final.</summary>
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
        effects |= after.State == CloseState.Lingering && facts.State != after.State ? CloseEffects.Linger : CloseEffects.None;
        return after.IsFinal ? (after, CloseEffects.End) : (after, effects);
    }

    /// <summary>Returns the facts after a look: what was seen, and every limit that is reached.</summary>
    /// <param name="facts">The facts before.</param>
    /// <param name="options">The limits.</param>
    /// <param name="seen">What was seen.</param>
    /// <param name="now">What time it is.</param>
    /// <param name="isScheduled">Whether the look came by its time, and not by an event.</param>
    public static (CloseFacts Facts, CloseEffects Effects, TimeSpan Next) Look(
        in CloseFacts facts, GracefulCloseOptions options, in CloseObservation seen, TimeSpan now, bool isScheduled)
    {
        var (after, effects) = On(facts, CloseEvent.Looked, seen, now);
        while (true)
        {
            var deadlines = CloseDeadlines.Get(after, options, seen, now);
            if (deadlines.Due == CloseEvent.None)
            {
                return (isScheduled ? Schedule(after, deadlines.Next) : after, effects, deadlines.Next);
            }

            (after, var more) = On(after, deadlines.Due, seen, now);
            effects |= more;
        }
    }

    /// <summary>
    /// Returns whether output that did not arrive deserves a report: it was lost outside of a drain, which reports its own, and
    /// the handler was not told. An abort by the application is none, and neither is a peer that resets a handler which runs.
    /// </summary>
    public static bool IsLoss(in CloseFacts facts) => facts.LingerCap is null && facts.Result.Outcome switch
    {
        CloseOutcome.None or CloseOutcome.Graceful or CloseOutcome.Acknowledged or CloseOutcome.Aborted => false,
        CloseOutcome.PeerReset => facts.HandlerReturned,
        _ => true,
    };

    private static CloseFacts Schedule(in CloseFacts facts, TimeSpan next)
    {
        var poll = facts.Poll + facts.Poll;
        return facts with
        {
            DueAt = next,
            Poll = poll < CloseDeadlines.LongestPoll ? poll : CloseDeadlines.LongestPoll,
        };
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

            case CloseEvent.GoodbyeBegan when facts is { State: CloseState.Open, IsRequested: true, HandlerReturned: true }:
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
            _ => OnAny(facts, e, seen, now),
        };

    private static (CloseFacts Facts, CloseEffects Effects) OnAny(
        in CloseFacts facts, CloseEvent e, in CloseObservation seen, TimeSpan now)
    {
        var after = e switch
        {
            CloseEvent.FinSending => facts with { DiscardedBeforeFin = seen.DiscardedBytes },
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
            CloseEvent.Abort or CloseEvent.ResetDue => Abort(facts, seen, now),
            _ => facts,
        };
        return (after, CloseEffects.None);
    }

    // Some frameworks complete every output with an exception. Where nothing can be missing it is an end like any other.
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
            EndsByReset = true,
            ProgressAt = now,
            Poll = CloseDeadlines.ShortestPoll,
        };
        return (after, CloseEffects.LookSoon);
    }

    private static CloseFacts OnHandlerReturned(in CloseFacts facts, in CloseObservation seen, TimeSpan now) => facts with
    {
        HandlerReturned = true,
        Reason = First(facts.Reason, seen.Inner?.Reason ?? seen.Reason),
        ClosingSince = seen.Inner is null ? now : seen.InnerSince,
        InnerWasGraceful = seen.Inner is { Outcome: CloseOutcome.Graceful },
        InnerDiscardedBytes = seen.Inner?.DiscardedBytes ?? 0,
        UnacknowledgedBytes = seen.Inner?.UnacknowledgedBytes,
    };

    private static (CloseFacts Facts, CloseEffects Effects) OnServingLooked(
        in CloseFacts facts, in CloseObservation seen, TimeSpan now)
    {
        var after = facts with { WriteBlocked = seen.IsWriteBlocked };
        if (seen.IsWriteBlocked)
        {
            // Bytes that left since then let the write go on, even if it is blocked again by now. It blocked at some time since the
            // last look: late by that, never early.
            var isNew = !facts.WriteBlocked || facts.SentAtLook != seen.SentBytes;
            after = after with { SentAtLook = seen.SentBytes, ProgressAt = isNew ? now : facts.ProgressAt };
        }

        if (seen.IsWriteBlocked || facts.EndsByReset)
        {
            after = NoteProgress(after, seen, now);
        }

        return facts.AwaitsFlush && !seen.IsWriteBlocked
            ? (after with { AwaitsFlush = false }, CloseEffects.ReleaseFlush)
            : (after, CloseEffects.None);
    }

    private static CloseFacts OnFlushingLooked(in CloseFacts facts, in CloseObservation seen, TimeSpan now)
    {
        if (seen.Delivery.IsDelivered && facts.FinSent)
        {
            return Linger(facts, seen, now);
        }

        return seen.Delivery.IsReset ? Reset(facts, seen, now)
            : seen.Delivery.IsGone ? Abort(facts, seen, now)
            : NoteProgress(facts, seen, now);
    }

    private static CloseFacts NoteProgress(in CloseFacts facts, in CloseObservation seen, TimeSpan now) => facts with
    {
        Progress = seen.Delivery.Progress,
        ProgressAt = seen.Delivery.Progress == facts.Progress ? facts.ProgressAt : now,
        AcknowledgedAt = (facts.EndsByReset || facts.EndsByServer) && facts.AllSent && seen.Delivery.IsAllAcknowledged
            ? facts.AcknowledgedAt ?? now
            : null,
    };

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

    // Once all output and our FIN are in the kernel, a limit closes the descriptor and the kernel goes on delivering, as it does
    // after every close. Before that, what is still here would look delivered, so a limit is RST.
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
            _ => CloseOutcome.CloseTimedOut,
        };
        return End(facts, isInKernel ? CloseState.Closed : CloseState.Aborted, outcome, seen, now);
    }

    private static CloseFacts Reset(in CloseFacts facts, in CloseObservation seen, TimeSpan now) =>
        facts is { InnerWasGraceful: true, State: not CloseState.Lingering }
            // Inside of TLS both sides have said their end, and everything had arrived. The peer is gone and answers our close_notify
            // or our FIN in that way.
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

    private static CloseReason First(CloseReason first, CloseReason second) => first == CloseReason.None ? second : first;
}
