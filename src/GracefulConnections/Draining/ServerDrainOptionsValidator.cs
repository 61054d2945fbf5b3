using System.Runtime.CompilerServices;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Draining;

/// <summary>
/// Checks the options of the drain. Names every property that is wrong at once, with its rule and the value found.
/// </summary>
internal sealed class ServerDrainOptionsValidator : IValidateOptions<ServerDrainOptions>
{
    private const string NotNegative = "must be zero or more, and finite";
    private const string PositiveOrInfinite = "must be positive, or Timeout.InfiniteTimeSpan for the endpoint's own";
    private const string LongEnough = "must be at least 100 ms, or Timeout.InfiniteTimeSpan for no reports";

    private static readonly TimeSpan ShortestReportInterval = TimeSpan.FromMilliseconds(100); // A line is written each.

    public ValidateOptionsResult Validate(string? name, ServerDrainOptions options)
    {
        var failures = new ValidateOptionsResultBuilder();
        Check(options.AnnounceDelay, TimeSpan.Zero, NotNegative);
        var isTimeoutValid = Check(options.DrainTimeout, TimeSpan.FromTicks(1), "must be positive and finite");
        var isWindowValid = Check(options.SpreadWindow, TimeSpan.Zero, NotNegative);
        Check(options.LingerIdleTimeout, TimeSpan.FromTicks(1), PositiveOrInfinite, orInfinite: true);
        Check(options.ReportInterval, ShortestReportInterval, LongEnough, orInfinite: true);
        if (isTimeoutValid && isWindowValid && options.SpreadWindow >= options.DrainTimeout)
        {
            var rule = $"must be less than DrainTimeout ({options.DrainTimeout:c}), "
                + "or the last connections are aborted before they are asked to close";
            Check(options.SpreadWindow, TimeSpan.MaxValue, rule);
        }

        return failures.Build();

        bool Check(
            TimeSpan value,
            TimeSpan least,
            string rule,
            bool orInfinite = false,
            [CallerArgumentExpression(nameof(value))] string property = "")
        {
            var isValid = value >= least || (orInfinite && value == Timeout.InfiniteTimeSpan);
            var fault = OptionText.FindFault(isValid, rule, value);
            if (fault is not null)
            {
                failures.AddError($"{nameof(ServerDrainOptions)}: {property[(nameof(options).Length + 1)..]} {fault}");
            }

            return fault is null;
        }
    }
}
