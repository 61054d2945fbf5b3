using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Draining;

/// <summary>
/// Checks the options of the drain. Names every property that is wrong at once, with its rule and the value found.
/// </summary>
internal sealed class ServerDrainOptionsValidator : IValidateOptions<ServerDrainOptions>
{
    private static readonly TimeSpan ShortestReportInterval = TimeSpan.FromMilliseconds(100); // A line is written each.

    public ValidateOptionsResult Validate(string? name, ServerDrainOptions options)
    {
        var failures = new ValidateOptionsResultBuilder();
        Check(
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

        return failures.Build();

        bool Check(bool isValid, string rule, TimeSpan value, string property)
        {
            var fault = OptionText.FindFault(isValid, rule, value);
            if (fault is not null)
            {
                failures.AddError($"{nameof(ServerDrainOptions)}: {property} {fault}");
            }

            return fault is null;
        }
    }

    private static bool IsPositiveOrInfinite(TimeSpan value) =>
        value > TimeSpan.Zero || value == Timeout.InfiniteTimeSpan;
}
