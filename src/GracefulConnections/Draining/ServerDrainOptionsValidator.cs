using System.Globalization;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Draining;

/// <summary>
/// Checks the options of the drain. Names every property that is wrong at once, with its rule and the value found.
/// </summary>
internal sealed class ServerDrainOptionsValidator : IValidateOptions<ServerDrainOptions>
{
    // The longest that CancellationTokenSource.CancelAfter takes, which the host's shutdown timeout goes through.
    private static readonly TimeSpan LongestTotal = TimeSpan.FromMilliseconds(uint.MaxValue - 1);

    private static readonly TimeSpan ShortestReportInterval = TimeSpan.FromMilliseconds(100); // A line is written each.

    public ValidateOptionsResult Validate(string? name, ServerDrainOptions options)
    {
        var failures = new ValidateOptionsResultBuilder();
        var announceDelay = Check(
            options.AnnounceDelay >= TimeSpan.Zero,
            "must be zero or more, and finite",
            options.AnnounceDelay,
            nameof(options.AnnounceDelay));
        var drainTimeout = Check(
            options.DrainTimeout > TimeSpan.Zero,
            "must be positive and finite",
            options.DrainTimeout,
            nameof(options.DrainTimeout));
        var spreadWindow = Check(
            options.SpreadWindow >= TimeSpan.Zero,
            "must be zero or more, and finite",
            options.SpreadWindow,
            nameof(options.SpreadWindow));
        Check(
            IsPositiveOrInfinite(options.LingerIdleTimeout),
            "must be positive, or Timeout.InfiniteTimeSpan for the endpoint's own",
            options.LingerIdleTimeout,
            nameof(options.LingerIdleTimeout));
        Check(
            options.ReportInterval >= ShortestReportInterval || options.ReportInterval == Timeout.InfiniteTimeSpan,
            "must be at least 100 ms, or Timeout.InfiniteTimeSpan for no reports",
            options.ReportInterval,
            nameof(options.ReportInterval));
        if (drainTimeout && spreadWindow)
        {
            Check(
                options.SpreadWindow < options.DrainTimeout,
                $"must be less than DrainTimeout ({options.DrainTimeout:c}), "
                + "or the last connections are aborted before they are asked to close",
                options.SpreadWindow,
                nameof(options.SpreadWindow));
        }

        if (announceDelay
            && drainTimeout
            && options.AnnounceDelay > LongestTotal - Min(options.DrainTimeout, LongestTotal) - BatchPlan.ExitTime)
        {
            failures.AddError(string.Create(
                CultureInfo.InvariantCulture,
                $"{nameof(ServerDrainOptions)}: AnnounceDelay {options.AnnounceDelay:c} + DrainTimeout "
                + $"{options.DrainTimeout:c} + {BatchPlan.ExitTime:c} for aborted connections and the exit must be "
                + $"at most {LongestTotal:c}, the longest shutdown timeout a host can have."));
        }

        return failures.Build();

        bool Check(bool isValid, string rule, TimeSpan value, string property)
        {
            if (!isValid)
            {
                failures.AddError(
                    $"{nameof(ServerDrainOptions)}: {property} {rule}, but was {OptionText.Spell(value)}.");
            }

            return isValid;
        }
    }

    private static bool IsPositiveOrInfinite(TimeSpan value) =>
        value > TimeSpan.Zero || value == Timeout.InfiniteTimeSpan;

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;
}
