using System.Globalization;
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
    private const string NotNegative = "must be zero or more, and finite";

    /// <param name="options">The options.</param>
    /// <param name="endpoint">Which endpoint's they are; <see langword="null"/> for those of no endpoint.</param>
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
        CheckTime(
            IsPositiveOrInfinite(options.FlushStallTimeout),
            PositiveOrInfinite,
            options.FlushStallTimeout,
            nameof(options.FlushStallTimeout));
        CheckTime(
            IsPositiveOrInfinite(options.LingerIdleTimeout),
            PositiveOrInfinite,
            options.LingerIdleTimeout,
            nameof(options.LingerIdleTimeout));
        CheckTime(
            options.CloseTimeout > TimeSpan.Zero,
            PositiveAndFinite,
            options.CloseTimeout,
            nameof(options.CloseTimeout));
        Check(
            options.MaxLingerBytes is not < 0,
            "must be null for no limit, or zero or more bytes",
            options.MaxLingerBytes,
            nameof(options.MaxLingerBytes));
        Check(
            options.MaxLingeringConnections is not < 1,
            "must be null for no limit, or one or more connections",
            options.MaxLingeringConnections,
            nameof(options.MaxLingeringConnections));
        Check(
            Enum.IsDefined(options.LingerUntil),
            $"must be {string.Join(" or ", Enum.GetNames<LingerUntil>())}",
            options.LingerUntil,
            nameof(options.LingerUntil));
        var isQuiet = CheckTime(
            options.QuietTime >= TimeSpan.Zero, NotNegative, options.QuietTime, nameof(options.QuietTime));
        var isGap = CheckTime(
            options.MessageGap >= TimeSpan.Zero, NotNegative, options.MessageGap, nameof(options.MessageGap));
        if (isQuiet && isGap)
        {
            CheckTime(
                options.MessageGap >= options.QuietTime,
                $"must be at least QuietTime ({OptionText.Spell(options.QuietTime)})",
                options.MessageGap,
                nameof(options.MessageGap));
        }

        CheckTime(
            options.IdleTimeout is null || options.IdleTimeout > TimeSpan.Zero,
            $"must be null for no limit, or it {PositiveAndFinite}",
            options.IdleTimeout,
            nameof(options.IdleTimeout));
        CheckTime(
            options.MaxConnectionAge is null || options.MaxConnectionAge > TimeSpan.Zero,
            $"must be null for no limit, or it {PositiveAndFinite}",
            options.MaxConnectionAge,
            nameof(options.MaxConnectionAge));
        Check(
            options.MaxConnectionAgeJitter is >= 0 and < 1,
            "must be at least 0 and less than 1",
            options.MaxConnectionAgeJitter,
            nameof(options.MaxConnectionAgeJitter));
        CheckTime(
            options.GoodbyeTimeout > TimeSpan.Zero,
            PositiveAndFinite,
            options.GoodbyeTimeout,
            nameof(options.GoodbyeTimeout));
        return failures.Build();

        bool CheckTime(bool isValid, string rule, TimeSpan? value, string property)
        {
            var fault = OptionText.FindFault(isValid, rule, value);
            if (fault is not null)
            {
                failures.AddError($"{owner}: {property} {fault}");
            }

            return fault is null;
        }

        void Check<T>(bool isValid, string rule, T value, string property)
        {
            if (!isValid)
            {
                failures.AddError(
                    string.Create(CultureInfo.InvariantCulture, $"{owner}: {property} {rule}, but was {value}."));
            }
        }
    }

    private static bool IsPositiveOrInfinite(TimeSpan value) =>
        value > TimeSpan.Zero || value == Timeout.InfiniteTimeSpan;
}
