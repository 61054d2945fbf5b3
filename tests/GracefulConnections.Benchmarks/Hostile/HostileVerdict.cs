using GracefulConnections.Testing;

namespace GracefulConnections.Benchmarks.Hostile;

/// <summary>Sets what the library told of a connection against what both of its ends know.</summary>
internal static class HostileVerdict
{
    /// <summary>Judges a connection that has ended.</summary>
    /// <returns>What is wrong, or <see langword="null"/>.</returns>
    public static (HostileViolation Violation, string Text)? Judge(HostilePlay play)
    {
        if (play.IsPoisoned)
        {
            return (HostileViolation.Poisoned, "The peer received memory that was not to be sent");
        }

        if (play.IsHung)
        {
            return (HostileViolation.Hung, "No end");
        }

        if (play.Fault is { } fault)
        {
            return (HostileViolation.Wrong, fault);
        }

        return FindLoss(play) is { } loss ? (HostileViolation.Lost, loss)
            : FindLie(play) is { } lie ? (HostileViolation.Wrong, lie)
            : null;
    }

    private static string? FindLoss(HostilePlay play)
    {
        var isShort = play.Saw is not null && play.ReceivedBytes < play.AcceptedBytes;
        return isShort && play.Saw == PeerSaw.Eof ? "The stream ended by FIN before its end"
            : isShort && ToldDelivered(play) ? $"{play.Result.Outcome} with bytes missing"
            : null;
    }

    private static string? FindLie(HostilePlay play)
    {
        var (outcome, unacknowledged) = (play.Result.Outcome, play.Result.UnacknowledgedBytes);
        if (play.ReceivedBytes > play.AttemptedBytes + play.GoodbyeBytes)
        {
            return "The peer received more than was written";
        }

        if (unacknowledged < 0)
        {
            return "Less than nothing is unacknowledged";
        }

        if (play.HasLeft)
        {
            return null; // What it missed is its own doing, and how its end arrives depends on what was on its way.
        }

        return play.AcceptedBytes - play.ReceivedBytes > unacknowledged ? "More is missing than is unacknowledged"
            : outcome == CloseOutcome.PeerReset ? "The peer did not reset"
            : outcome == CloseOutcome.Aborted && !SawReset(play) ? "Aborted without a reset"
            : outcome == CloseOutcome.Graceful ? FindLieOfGraceful(play)
            : null;
    }

    private static string? FindLieOfGraceful(HostilePlay play) =>
        !play.HasHalfClosed ? "Graceful without the peer's FIN"
        : play.Saw == PeerSaw.Reset ? "Graceful with a reset"
        : play.Result.UnacknowledgedBytes > LeftOut(play) ? "Graceful with unacknowledged bytes"
        : play.ConsumedBytes + play.Result.DiscardedBytes != play.SentBytes ? "Graceful with other bytes than were sent"
        : null;

    // An output that is completed with an exception leaves out what was not flushed.
    private static long LeftOut(HostilePlay play) =>
        play.Script.Handler == HostileHandler.FailOutput ? play.AttemptedBytes - play.AcceptedBytes : 0;

    private static bool ToldDelivered(HostilePlay play) =>
        play.Result.Outcome is CloseOutcome.Graceful or CloseOutcome.Acknowledged;

    // Once both sides have sent FIN, there is no connection left that a reset could belong to.
    private static bool SawReset(HostilePlay play) =>
        play.Saw == PeerSaw.Reset || play.HasHalfClosed || play.IsResetBehindFin != false;
}
