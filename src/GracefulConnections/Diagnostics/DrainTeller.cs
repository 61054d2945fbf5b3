using System.Globalization;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Diagnostics;

/// <summary>
/// What drains tell the operator and the service manager. Call it in the order of what happened, and never under a
/// lock.
/// </summary>
internal sealed class DrainTeller(ILogger logger, SystemdNotifier notifier)
{
    /// <param name="count">How many connections there are.</param>
    /// <param name="delay">How long the server goes on serving.</param>
    /// <param name="exitTime">How long the service manager must wait, if the process is about to exit.</param>
    public void Announced(int count, TimeSpan delay, TimeSpan? exitTime)
    {
        var noun = Noun.Connections.Of(count);
        Log.DrainAnnounced(logger, count, noun, delay.TotalSeconds);
        if (exitTime is not null)
        {
            Notify($"Announced that the server stops, {Noun.Connections.Count(count)}.", exitTime);
        }
    }

    public void Started(
        LogLevel level,
        ConnectionActivity[] activities,
        CloseReason reason,
        string? description,
        TimeSpan rest,
        TimeSpan? exitTime)
    {
        var count = activities.Length;
        var states = count == 0 ? string.Empty : $"{Holders.Count(activities.CountBy(static activity => activity))}; ";
        var why = description is null ? $"{reason}" : $"{reason}: {PeerText.Spell(description)}";
        var noun = Noun.Connections.Of(count);
        Log.DrainStarted(logger, level, count, noun, states, why, rest.TotalSeconds);
        NotifyLeft(count, TimeSpan.Zero, exitTime);
    }

    public void Progress(
        LogLevel level,
        int count,
        IEnumerable<KeyValuePair<CloseState, int>> states,
        IReadOnlyCollection<TrackedConnectionInfo> oldest,
        TimeSpan elapsed,
        TimeSpan rest,
        TimeSpan? exitTime)
    {
        // A signal reaches a process that stops; otherwise the program decides.
        var advice = exitTime is null ? "IDrainCoordinator.Abort() ends one now" : "SIGINT ends them now";
        var noun = Noun.Connections.Of(count);
        var stateCounts = Holders.Count(states);
        var holders = Holders.Describe(oldest, count);
        var outlook = rest > TimeSpan.Zero
            ? $"In {Tenths(rest)} s they will be aborted; {advice}"
            : "They were aborted, and their handlers have not returned";
        Log.DrainProgress(logger, level, count, noun, elapsed.TotalSeconds, stateCounts, holders, outlook);
        NotifyLeft(count, elapsed, exitTime);
    }

    /// <summary>A handler ignored its abort.</summary>
    public void HandlerUnended(string connectionId, TimeSpan grace, bool isAbandoned)
    {
        if (isAbandoned)
        {
            Log.HandlerAbandoned(logger, connectionId, grace.TotalSeconds);
        }
        else
        {
            Log.HandlerIgnoresAbort(logger, connectionId, grace.TotalSeconds);
        }
    }

    /// <param name="level">How loud, if nothing was lost.</param>
    /// <param name="report">How it went.</param>
    /// <param name="timeout">When what was left was aborted; <see langword="null"/> if somebody did not wait.</param>
    public void Ended(LogLevel level, DrainReport report, TimeSpan? timeout)
    {
        var unansweredNoun = Noun.Messages.Of(report.UnansweredCount);
        if (report.Aborted.Count > 0)
        {
            var cause = timeout is { } time ? $"not done after {Tenths(time)} s" : "told to end at once";
            var abortedNoun = Noun.Connections.Of(report.Aborted.Count);
            var holders = Holders.Describe(report.Aborted, report.Aborted.Count);
            Log.DrainAborted(
                logger, report.Aborted.Count, abortedNoun, cause, report.UnansweredCount, unansweredNoun, holders);
        }

        var isLost = report.UnacknowledgedBytes > 0 || report.UnansweredCount > 0 || report.UnknownCount > 0;
        var noun = Noun.Connections.Of(report.ConnectionCount);
        var outcomes = report.Outcomes.Count > 0 ? Holders.Count(report.Outcomes) : "none";
        var unacknowledgedNoun = Noun.Bytes.Of(report.UnacknowledgedBytes);
        var unknown = report.UnknownCount > 0 ? $" ({Noun.Connections.Count(report.UnknownCount)} unknown)" : "";
        var discardedNoun = Noun.Bytes.Of(report.DiscardedBytes);
        Log.DrainEnded(
            logger,
            isLost ? LogLevel.Warning : level,
            report.ConnectionCount,
            noun,
            report.Duration.TotalSeconds,
            outcomes,
            report.UnacknowledgedBytes,
            unacknowledgedNoun,
            unknown,
            report.UnansweredCount,
            unansweredNoun,
            report.DiscardedBytes,
            discardedNoun);
        Notify($"Drained {Noun.Connections.Count(report.ConnectionCount)} in {Tenths(report.Duration)} s.", null);
    }

    private void NotifyLeft(int count, TimeSpan elapsed, TimeSpan? exitTime) =>
        Notify($"Draining, {Noun.Connections.Count(count)} left after {Tenths(elapsed)} s.", exitTime);

    private void Notify(string status, TimeSpan? exitTime) => notifier.Notify(
        exitTime is { } time ? $"STATUS={status}\n{SystemdNotifier.ExtendTimeout(time)}" : $"STATUS={status}");

    private static string Tenths(TimeSpan time) => time.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture);
}
