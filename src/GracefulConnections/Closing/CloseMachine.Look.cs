namespace GracefulConnections.Closing;

/// <content>What a look at the connection means.</content>
internal static partial class CloseMachine
{
    /// <summary>
    /// Returns the facts after a look, which came by its time or by an event: what was seen, and every limit reached.
    /// </summary>
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

    private static CloseFacts Schedule(in CloseFacts facts, TimeSpan next)
    {
        var poll = facts.Poll + facts.Poll;
        return facts with
        {
            DueAt = next,
            Poll = poll < CloseDeadlines.LongestPoll ? poll : CloseDeadlines.LongestPoll,
        };
    }

    private static (CloseFacts Facts, CloseEffects Effects) OnServingLooked(
        in CloseFacts facts, in CloseObservation seen, TimeSpan now)
    {
        var after = facts with { WriteBlocked = seen.IsWriteBlocked };
        if (seen.IsWriteBlocked)
        {
            // Bytes that left since then let the write go on, even if it is blocked again by now. It blocked at some
            // time since the last look: late by that, never early.
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
}
