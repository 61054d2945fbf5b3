using System.Globalization;
using System.Runtime.CompilerServices;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Closing;

/// <summary>
/// Checks the options of one endpoint. Names every property that is wrong at once, with its endpoint, its rule and the
/// value found.
/// </summary>
internal static class GracefulCloseOptionsValidator
{
    private const string PositiveOrInfinite = "must be positive, or Timeout.InfiniteTimeSpan for no limit";
    private const string PositiveAndFinite = "must be positive and finite";
    private const string PositiveOrNull = $"must be null for no limit, or it {PositiveAndFinite}";
    private const string NotNegative = "must be zero or more, and finite";

    /// <exception cref="OptionsValidationException">An option is out of range.</exception>
    public static void ThrowIfInvalid(GracefulCloseOptions options, string? endpoint = null)
    {
        var result = Validate(options, endpoint);
        if (result.Failed)
        {
            throw new OptionsValidationException(
                endpoint ?? nameof(GracefulCloseOptions), typeof(GracefulCloseOptions), result.Failures);
        }
    }

    public static ValidateOptionsResult Validate(GracefulCloseOptions options, string? endpoint = null)
    {
        var failures = new ValidateOptionsResultBuilder();
        var owner = endpoint is null
            ? nameof(GracefulCloseOptions)
            : $"{nameof(GracefulCloseOptions)} of the endpoint {endpoint}";
        CheckTime(IsPositiveOrInfinite(options.FlushStallTimeout), PositiveOrInfinite, options.FlushStallTimeout);
        CheckTime(IsPositiveOrInfinite(options.LingerIdleTimeout), PositiveOrInfinite, options.LingerIdleTimeout);
        CheckTime(options.CloseTimeout > TimeSpan.Zero, PositiveAndFinite, options.CloseTimeout);
        Check(
            options.MaxLingerBytes is not < 0,
            "must be null for no limit, or zero or more bytes",
            options.MaxLingerBytes);
        Check(
            options.MaxLingeringConnections is not < 1,
            "must be null for no limit, or one or more connections",
            options.MaxLingeringConnections);
        Check(
            Enum.IsDefined(options.LingerUntil),
            $"must be {string.Join(" or ", Enum.GetNames<LingerUntil>())}",
            options.LingerUntil);
        var isQuiet = CheckTime(options.QuietTime >= TimeSpan.Zero, NotNegative, options.QuietTime);
        var isGap = CheckTime(options.MessageGap >= TimeSpan.Zero, NotNegative, options.MessageGap);
        if (isQuiet && isGap)
        {
            CheckTime(
                options.MessageGap >= options.QuietTime,
                $"must be at least QuietTime ({OptionText.Spell(options.QuietTime)})",
                options.MessageGap);
        }

        CheckTime(IsNullOrPositive(options.IdleTimeout), PositiveOrNull, options.IdleTimeout);
        CheckTime(IsNullOrPositive(options.MaxConnectionAge), PositiveOrNull, options.MaxConnectionAge);
        Check(
            options.MaxConnectionAgeJitter is >= 0 and < 1,
            "must be at least 0 and less than 1",
            options.MaxConnectionAgeJitter);
        CheckTime(options.GoodbyeTimeout > TimeSpan.Zero, PositiveAndFinite, options.GoodbyeTimeout);
        return failures.Build();

        bool CheckTime(
            bool isValid,
            string rule,
            TimeSpan? value,
            [CallerArgumentExpression(nameof(value))] string property = "") =>
            Add(OptionText.FindFault(isValid, rule, value), property);

        void Check<T>(
            bool isValid, string rule, T value, [CallerArgumentExpression(nameof(value))] string property = "") =>
            Add(isValid ? null : string.Create(CultureInfo.InvariantCulture, $"{rule}, but was {value}."), property);

        bool Add(string? fault, string property)
        {
            if (fault is not null)
            {
                property = property[(property.IndexOf('.', StringComparison.Ordinal) + 1)..];
                failures.AddError($"{owner}: {property} {fault}");
            }

            return fault is null;
        }
    }

    private static bool IsNullOrPositive(TimeSpan? value) => value is null || value > TimeSpan.Zero;

    private static bool IsPositiveOrInfinite(TimeSpan value) =>
        value > TimeSpan.Zero || value == Timeout.InfiniteTimeSpan;
}
