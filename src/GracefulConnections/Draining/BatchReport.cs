using System.Globalization;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Draining;

/// <summary>What a batch tells the operator and the service manager. Called in the order of what happened.</summary>
internal static class BatchReport
{
    public static void Start(
        DrainContext context,
        LogLevel level,
        ConnectionActivity[] activities,
        CloseReason reason,
        string? description,
        TimeSpan rest)
    {
        var states = Holders.Count(activities.CountBy(static activity => activity));
        var why = description is null ? $"{reason}" : $"{reason}: {description}";
        var noun = Noun(activities.Length);
        Log.DrainStarted(context.Logger, level, activities.Length, noun, states, why, rest.TotalSeconds);
        Notify(context, activities.Length, TimeSpan.Zero, rest);
    }

    public static void Progress(
        DrainContext context, LogLevel level, TrackedConnection[] left, TimeSpan elapsed, TimeSpan rest)
    {
        var oldest = left.OrderBy(static connection => connection.StartTimestamp).Take(Holders.NamedCount);
        var holders = Holders.Describe([.. oldest.Select(static connection => connection.GetInfo())], left.Length);
        var states = Holders.Count(left.CountBy(static connection => connection.State));
        var noun = Noun(left.Length);
        Log.DrainProgress(context.Logger, level, left.Length, noun, elapsed.TotalSeconds, states, holders);
        Notify(context, left.Length, elapsed, rest);
    }

    /// <summary>A handler ignored its abort. Where the process is about to exit, nobody waits for it.</summary>
    public static void Unended(DrainContext context, TrackedConnection connection)
    {
        if (context.IsHostStopping)
        {
            Log.HandlerAbandoned(context.Logger, connection.Id, BatchPlan.HandlerGrace.TotalSeconds);
            connection.Abandon();
        }
        else
        {
            Log.HandlerIgnoresAbort(context.Logger, connection.Id, BatchPlan.HandlerGrace.TotalSeconds);
        }
    }

    public static void End(DrainContext context, LogLevel level, DrainReport report)
    {
        if (report.Aborted.Count > 0)
        {
            var abortedNoun = Noun(report.Aborted.Count);
            var holders = Holders.Describe(report.Aborted, report.Aborted.Count);
            Log.DrainAborted(
                context.Logger, report.Aborted.Count, abortedNoun, report.UnansweredCount, holders);
        }

        var isAnythingLost = report.UnacknowledgedBytes > 0 || report.UnansweredCount > 0;
        var noun = Noun(report.ConnectionCount);
        var outcomes = report.Outcomes.Count > 0 ? Holders.Count(report.Outcomes) : "none";
        Log.DrainEnded(
            context.Logger,
            isAnythingLost ? LogLevel.Warning : level,
            report.ConnectionCount,
            noun,
            report.Duration.TotalSeconds,
            outcomes,
            report.DiscardedBytes,
            report.UnacknowledgedBytes,
            report.UnansweredCount);
        context.Notifier.Notify(string.Create(
            CultureInfo.InvariantCulture,
            $"STATUS=Drained {Connections(report.ConnectionCount)} in {report.Duration.TotalSeconds:0.0} s."));
    }

    public static string Connections(int count) => $"{count} {Noun(count)}";

    public static string Noun(int count) => count == 1 ? "connection" : "connections";

    private static void Notify(DrainContext context, int count, TimeSpan elapsed, TimeSpan rest)
    {
        var status = string.Create(
            CultureInfo.InvariantCulture,
            $"STATUS=Draining, {Connections(count)} left after {elapsed.TotalSeconds:0.0} s.");
        var remaining = (rest > TimeSpan.Zero ? rest : TimeSpan.Zero) + BatchPlan.ExitTime;
        context.Notifier.Notify(
            context.IsHostStopping ? $"{status}\n{SystemdNotifier.ExtendTimeout(remaining)}" : status);
    }
}
