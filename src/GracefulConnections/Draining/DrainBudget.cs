using System.Globalization;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Draining;

/// <summary>
/// How long a stop may take: what must fit into the host's shutdown timeout, and into the time after which the process
/// is killed.
/// </summary>
internal readonly record struct DrainBudget(TimeSpan AnnounceDelay, TimeSpan DrainTimeout)
{
    /// <summary>
    /// The variable in which an orchestrator's grace period can be given; Kubernetes sets none by itself.
    /// </summary>
    public const string GracePeriodVariable = "TERMINATION_GRACE_PERIOD_SECONDS";

    public DrainBudget(ServerDrainOptions options)
        : this(options.AnnounceDelay, options.DrainTimeout)
    {
    }

    public TimeSpan Total => AnnounceDelay + DrainTimeout + BatchPlan.ExitTime;

    public bool FitsInto(TimeSpan timeout) => timeout == Timeout.InfiniteTimeSpan || Total <= timeout;

    /// <summary>Reads a grace period.</summary>
    /// <returns><see langword="null"/> if the text is not a positive number of seconds.</returns>
    public static TimeSpan? ParseGracePeriod(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds)
        && seconds > 0
        && seconds < TimeSpan.MaxValue.TotalSeconds
            ? TimeSpan.FromSeconds(seconds)
            : null;

    /// <summary>Warns where the process will be killed before its stop has ended.</summary>
    public void CheckGracePeriod(ILogger logger)
    {
        if (Environment.GetEnvironmentVariable(GracePeriodVariable) is not { Length: > 0 } text)
        {
            return;
        }

        if (ParseGracePeriod(text) is not { } gracePeriod)
        {
            Log.GracePeriodUnreadable(logger, GracePeriodVariable, text);
        }
        else if (!FitsInto(gracePeriod))
        {
            Log.GracePeriodTooShort(logger, GracePeriodVariable, gracePeriod.TotalSeconds, ToString());
        }
    }

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"AnnounceDelay {AnnounceDelay.TotalSeconds} s + DrainTimeout {DrainTimeout.TotalSeconds} s + "
        + $"{BatchPlan.ExitTime.TotalSeconds} s for aborted connections and the exit = {Total.TotalSeconds} s");
}
