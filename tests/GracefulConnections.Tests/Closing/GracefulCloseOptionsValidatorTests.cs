using GracefulConnections.Closing;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Tests.Closing;

public class GracefulCloseOptionsValidatorTests
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);

    public static TheoryData<Action<GracefulCloseOptions>, string> BadValues => new()
    {
        { options => options.FlushStallTimeout = TimeSpan.Zero, "Property FlushStallTimeout: must be positive, or Timeout.InfiniteTimeSpan for no limit, but was 00:00:00." },
        { options => options.FlushStallTimeout = -Tick, "Property FlushStallTimeout: must be positive, or Timeout.InfiniteTimeSpan for no limit, but was -00:00:00.0000001." },
        { options => options.FlushStallTimeout = TimeSpan.MinValue, "Property FlushStallTimeout: must be positive, or Timeout.InfiniteTimeSpan for no limit, but was -10675199.02:48:05.4775808." },
        { options => options.LingerIdleTimeout = TimeSpan.Zero, "Property LingerIdleTimeout: must be positive, or Timeout.InfiniteTimeSpan for no limit, but was 00:00:00." },
        { options => options.LingerIdleTimeout = TimeSpan.FromSeconds(-5), "Property LingerIdleTimeout: must be positive, or Timeout.InfiniteTimeSpan for no limit, but was -00:00:05." },
        { options => options.CloseTimeout = TimeSpan.Zero, "Property CloseTimeout: must be positive and finite, but was 00:00:00." },
        { options => options.CloseTimeout = Timeout.InfiniteTimeSpan, "Property CloseTimeout: must be positive and finite, but was -00:00:00.0010000." },
        { options => options.MaxLingerBytes = -1, "Property MaxLingerBytes: must be null, or zero or more bytes, but was -1." },
        { options => options.MaxLingeringConnections = 0, "Property MaxLingeringConnections: must be null, or one or more connections, but was 0." },
        { options => options.MaxLingeringConnections = -1, "Property MaxLingeringConnections: must be null, or one or more connections, but was -1." },
        { options => options.LingerUntil = (LingerUntil)2, "Property LingerUntil: must be PeerFin or OutputAcknowledged, but was 2." },
        { options => options.IdleTimeout = TimeSpan.Zero, "Property IdleTimeout: must be null, or it must be positive and finite, but was 00:00:00." },
        { options => options.IdleTimeout = Timeout.InfiniteTimeSpan, "Property IdleTimeout: must be null, or it must be positive and finite, but was -00:00:00.0010000." },
        { options => options.MaxConnectionAge = TimeSpan.Zero, "Property MaxConnectionAge: must be null, or it must be positive and finite, but was 00:00:00." },
        { options => options.MaxConnectionAge = Timeout.InfiniteTimeSpan, "Property MaxConnectionAge: must be null, or it must be positive and finite, but was -00:00:00.0010000." },
        { options => options.MaxConnectionAgeJitter = -0.01, "Property MaxConnectionAgeJitter: must be at least 0 and less than 1, but was -0.01." },
        { options => options.MaxConnectionAgeJitter = 1, "Property MaxConnectionAgeJitter: must be at least 0 and less than 1, but was 1." },
        { options => options.MaxConnectionAgeJitter = double.NaN, "Property MaxConnectionAgeJitter: must be at least 0 and less than 1, but was NaN." },
        { options => options.GoodbyeTimeout = TimeSpan.Zero, "Property GoodbyeTimeout: must be positive and finite, but was 00:00:00." },
        { options => options.GoodbyeTimeout = Timeout.InfiniteTimeSpan, "Property GoodbyeTimeout: must be positive and finite, but was -00:00:00.0010000." },
    };

    public static TheoryData<Action<GracefulCloseOptions>> GoodValues => new(
        _ => { },
        options => options.FlushStallTimeout = Tick,
        options => options.FlushStallTimeout = Timeout.InfiniteTimeSpan,
        options => options.FlushStallTimeout = TimeSpan.MaxValue,
        options => options.LingerIdleTimeout = Tick,
        options => options.LingerIdleTimeout = Timeout.InfiniteTimeSpan,
        options => options.LingerIdleTimeout = TimeSpan.MaxValue,
        options => options.CloseTimeout = Tick,
        options => options.CloseTimeout = TimeSpan.MaxValue,
        options => options.MaxLingerBytes = null,
        options => options.MaxLingerBytes = 0,
        options => options.MaxLingerBytes = long.MaxValue,
        options => options.MaxLingeringConnections = null,
        options => options.MaxLingeringConnections = 1,
        options => options.MaxLingeringConnections = int.MaxValue,
        options => options.LingerUntil = LingerUntil.PeerFin,
        options => options.LingerUntil = LingerUntil.OutputAcknowledged,
        options => options.IdleTimeout = null,
        options => options.IdleTimeout = Tick,
        options => options.IdleTimeout = TimeSpan.MaxValue,
        options => options.MaxConnectionAge = null,
        options => options.MaxConnectionAge = Tick,
        options => options.MaxConnectionAge = TimeSpan.MaxValue,
        options => options.MaxConnectionAgeJitter = 0,
        options => options.MaxConnectionAgeJitter = Math.BitDecrement(1.0),
        options => options.GoodbyeTimeout = Tick,
        options => options.GoodbyeTimeout = TimeSpan.MaxValue);

    [Theory]
    [MemberData(nameof(BadValues), DisableDiscoveryEnumeration = true)]
    public void ThrowIfInvalid_OneBadValue_NamesPropertyRuleAndValue(Action<GracefulCloseOptions> configure, string message)
    {
        var options = new GracefulCloseOptions();
        configure(options);

        var exception = Assert.Throws<OptionsValidationException>(() => GracefulCloseOptionsValidator.ThrowIfInvalid(options));

        Assert.Equal([message], exception.Failures);
        Assert.Equal(message, exception.Message);
        Assert.Equal(typeof(GracefulCloseOptions), exception.OptionsType);
    }

    [Theory]
    [MemberData(nameof(GoodValues), DisableDiscoveryEnumeration = true)]
    public void ThrowIfInvalid_ValueOnTheBoundary_Accepts(Action<GracefulCloseOptions> configure)
    {
        var options = new GracefulCloseOptions();
        configure(options);

        GracefulCloseOptionsValidator.ThrowIfInvalid(options);
    }

    [Fact]
    public void ThrowIfInvalid_EverythingBad_NamesEveryPropertyAtOnce()
    {
        var options = new GracefulCloseOptions
        {
            FlushStallTimeout = TimeSpan.Zero,
            LingerIdleTimeout = TimeSpan.Zero,
            CloseTimeout = TimeSpan.Zero,
            MaxLingerBytes = -1,
            MaxLingeringConnections = 0,
            LingerUntil = (LingerUntil)(-1),
            IdleTimeout = TimeSpan.Zero,
            MaxConnectionAge = TimeSpan.Zero,
            MaxConnectionAgeJitter = 2,
            GoodbyeTimeout = TimeSpan.Zero,
        };

        var exception = Assert.Throws<OptionsValidationException>(() => GracefulCloseOptionsValidator.ThrowIfInvalid(options));

        // All but the switches and the callback, which have no bad values.
        var checkable = typeof(GracefulCloseOptions).GetProperties()
            .Where(property => property.PropertyType != typeof(bool) && !property.PropertyType.IsAssignableTo(typeof(Delegate)))
            .Select(property => property.Name);
        Assert.Equal(checkable.Order(), exception.Failures.Select(failure => failure["Property ".Length..failure.IndexOf(':', StringComparison.Ordinal)]).Order());
    }
}
