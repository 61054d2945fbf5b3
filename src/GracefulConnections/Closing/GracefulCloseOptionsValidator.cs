using Microsoft.Extensions.Options;

namespace GracefulConnections.Closing;

/// <summary>Checks the options of one endpoint. Names every property that is wrong at once, with its rule and the value found.</summary>
internal static class GracefulCloseOptionsValidator
{
    private const string PositiveOrInfinite = "must be positive, or Timeout.InfiniteTimeSpan for no limit";
    private const string PositiveAndFinite = "must be positive and finite";

    /// <exception cref="OptionsValidationException">An option is out of range.</exception>
    public static void ThrowIfInvalid(GracefulCloseOptions options)
    {
        var result = Validate(options);
        if (result.Failed)
        {
            throw new OptionsValidationException(nameof(GracefulCloseOptions), typeof(GracefulCloseOptions), result.Failures);
        }
    }

    public static ValidateOptionsResult Validate(GracefulCloseOptions options)
    {
        var failures = new ValidateOptionsResultBuilder();
        Check(IsPositiveOrInfinite(options.FlushStallTimeout), PositiveOrInfinite, options.FlushStallTimeout, nameof(options.FlushStallTimeout));
        Check(IsPositiveOrInfinite(options.LingerIdleTimeout), PositiveOrInfinite, options.LingerIdleTimeout, nameof(options.LingerIdleTimeout));
        Check(options.CloseTimeout > TimeSpan.Zero, PositiveAndFinite, options.CloseTimeout, nameof(options.CloseTimeout));
        Check(options.MaxLingerBytes is not < 0, "must be null, or zero or more bytes", options.MaxLingerBytes, nameof(options.MaxLingerBytes));
        Check(options.MaxLingeringConnections is not < 1, "must be null, or one or more connections", options.MaxLingeringConnections, nameof(options.MaxLingeringConnections));
        Check(Enum.IsDefined(options.LingerUntil), $"must be {string.Join(" or ", Enum.GetNames<LingerUntil>())}", options.LingerUntil, nameof(options.LingerUntil));
        Check(options.IdleTimeout is null || options.IdleTimeout > TimeSpan.Zero, $"must be null, or it {PositiveAndFinite}", options.IdleTimeout, nameof(options.IdleTimeout));
        Check(options.MaxConnectionAge is null || options.MaxConnectionAge > TimeSpan.Zero, $"must be null, or it {PositiveAndFinite}", options.MaxConnectionAge, nameof(options.MaxConnectionAge));
        Check(options.MaxConnectionAgeJitter is >= 0 and < 1, "must be at least 0 and less than 1", options.MaxConnectionAgeJitter, nameof(options.MaxConnectionAgeJitter));
        Check(options.GoodbyeTimeout > TimeSpan.Zero, PositiveAndFinite, options.GoodbyeTimeout, nameof(options.GoodbyeTimeout));
        return failures.Build();

        void Check<T>(bool isValid, string rule, T value, string property)
        {
            if (!isValid)
            {
                failures.AddError(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{rule}, but was {value}."), property);
            }
        }
    }

    private static bool IsPositiveOrInfinite(TimeSpan value) => value > TimeSpan.Zero || value == Timeout.InfiniteTimeSpan;
}
