using System.Globalization;
using GracefulConnections.Closing;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Tests.Closing;

public class GracefulCloseOptionsValidatorTests
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);
    private static readonly TimeSpan Longest = TimeSpan.FromDays(1) - Tick;

    public static TheoryData<Action<GracefulCloseOptions>, string> BadValues => new()
    {
        {
            options => options.FlushStallTimeout = TimeSpan.Zero,
            "GracefulCloseOptions: FlushStallTimeout must be positive, or Timeout.InfiniteTimeSpan for no limit, but was 00:00:00."
        },
        {
            options => options.FlushStallTimeout = -Tick,
            "GracefulCloseOptions: FlushStallTimeout must be positive, or Timeout.InfiniteTimeSpan for no limit, but was -00:00:00.0000001."
        },
        {
            options => options.FlushStallTimeout = TimeSpan.MinValue,
            "GracefulCloseOptions: FlushStallTimeout must be positive, or Timeout.InfiniteTimeSpan for no limit, but was -10675199.02:48:05.4775808."
        },
        {
            options => options.LingerIdleTimeout = TimeSpan.Zero,
            "GracefulCloseOptions: LingerIdleTimeout must be positive, or Timeout.InfiniteTimeSpan for no limit, but was 00:00:00."
        },
        {
            options => options.LingerIdleTimeout = TimeSpan.FromSeconds(-5),
            "GracefulCloseOptions: LingerIdleTimeout must be positive, or Timeout.InfiniteTimeSpan for no limit, but was -00:00:05."
        },
        {
            options => options.CloseTimeout = TimeSpan.Zero,
            "GracefulCloseOptions: CloseTimeout must be positive and finite, but was 00:00:00."
        },
        {
            options => options.CloseTimeout = Timeout.InfiniteTimeSpan,
            "GracefulCloseOptions: CloseTimeout must be positive and finite, but was no limit (Timeout.InfiniteTimeSpan)."
        },
        {
            options => options.MaxLingerBytes = -1,
            "GracefulCloseOptions: MaxLingerBytes must be null for no limit, or zero or more bytes, but was -1."
        },
        {
            options => options.MaxLingeringConnections = 0,
            "GracefulCloseOptions: MaxLingeringConnections must be null for no limit, or one or more connections, but was 0."
        },
        {
            options => options.MaxLingeringConnections = -1,
            "GracefulCloseOptions: MaxLingeringConnections must be null for no limit, or one or more connections, but was -1."
        },
        {
            options => options.LingerUntil = (LingerUntil)2,
            "GracefulCloseOptions: LingerUntil must be PeerFin or OutputAcknowledged, but was 2."
        },
        {
            options => options.IdleTimeout = TimeSpan.Zero,
            "GracefulCloseOptions: IdleTimeout must be null for no limit, or it must be positive and finite, but was 00:00:00."
        },
        {
            options => options.IdleTimeout = Timeout.InfiniteTimeSpan,
            "GracefulCloseOptions: IdleTimeout must be null for no limit, or it must be positive and finite, but was no limit (Timeout.InfiniteTimeSpan)."
        },
        {
            options => options.MaxConnectionAge = TimeSpan.Zero,
            "GracefulCloseOptions: MaxConnectionAge must be null for no limit, or it must be positive and finite, but was 00:00:00."
        },
        {
            options => options.MaxConnectionAge = Timeout.InfiniteTimeSpan,
            "GracefulCloseOptions: MaxConnectionAge must be null for no limit, or it must be positive and finite, but was no limit (Timeout.InfiniteTimeSpan)."
        },
        {
            options => options.MaxConnectionAgeJitter = -0.01,
            "GracefulCloseOptions: MaxConnectionAgeJitter must be at least 0 and less than 1, but was -0.01."
        },
        {
            options => options.MaxConnectionAgeJitter = 1,
            "GracefulCloseOptions: MaxConnectionAgeJitter must be at least 0 and less than 1, but was 1."
        },
        {
            options => options.MaxConnectionAgeJitter = double.NaN,
            "GracefulCloseOptions: MaxConnectionAgeJitter must be at least 0 and less than 1, but was NaN."
        },
        {
            options => options.QuietTime = -Tick,
            "GracefulCloseOptions: QuietTime must be zero or more, and finite, but was -00:00:00.0000001."
        },
        {
            options => options.MaxConnectionAge = TimeSpan.FromHours(36),
            "GracefulCloseOptions: MaxConnectionAge must be shorter than one day, but was 1.12:00:00."
        },
        {
            options => options.MessageGap = Timeout.InfiniteTimeSpan,
            "GracefulCloseOptions: MessageGap must be zero or more, and finite, but was no limit (Timeout.InfiniteTimeSpan)."
        },
        {
            options => options.MessageGap = TimeSpan.FromSeconds(1) - Tick,
            "GracefulCloseOptions: MessageGap must be at least QuietTime (00:00:01), but was 00:00:00.9999999."
        },
        {
            options => options.GoodbyeTimeout = TimeSpan.Zero,
            "GracefulCloseOptions: GoodbyeTimeout must be positive and finite, but was 00:00:00."
        },
        {
            options => options.GoodbyeTimeout = Timeout.InfiniteTimeSpan,
            "GracefulCloseOptions: GoodbyeTimeout must be positive and finite, but was no limit (Timeout.InfiniteTimeSpan)."
        },
    };

    public static TheoryData<Action<GracefulCloseOptions>> GoodValues => new(
        _ => { },
        options => options.FlushStallTimeout = Tick,
        options => options.FlushStallTimeout = Timeout.InfiniteTimeSpan,
        options => options.FlushStallTimeout = Longest,
        options => options.LingerIdleTimeout = Tick,
        options => options.LingerIdleTimeout = Timeout.InfiniteTimeSpan,
        options => options.LingerIdleTimeout = Longest,
        options => options.CloseTimeout = Tick,
        options => options.CloseTimeout = Longest,
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
        options => options.IdleTimeout = Longest,
        options => options.MaxConnectionAge = null,
        options => options.MaxConnectionAge = Tick,
        options => options.MaxConnectionAge = Longest,
        options => options.MaxConnectionAgeJitter = 0,
        options => options.MaxConnectionAgeJitter = Math.BitDecrement(1.0),
        options => options.QuietTime = TimeSpan.Zero,
        options => options.MessageGap = options.QuietTime,
        options => options.MessageGap = Longest,
        options => options.QuietTime = options.MessageGap = Longest,
        options => options.QuietTime = options.MessageGap = TimeSpan.Zero,
        options => options.GoodbyeTimeout = Tick,
        options => options.GoodbyeTimeout = Longest);

    [Theory]
    [MemberData(nameof(BadValues), DisableDiscoveryEnumeration = true)]
    public void ThrowIfInvalid_OneBadValue_NamesPropertyRuleAndValue(Action<GracefulCloseOptions> configure, string message)
    {
        var options = new GracefulCloseOptions();
        configure(options);

        var exception = Assert.Throws<OptionsValidationException>(() => GracefulCloseOptionsValidator.ThrowIfInvalid(options));

        var failure = Assert.Single(exception.Failures);
        Assert.EndsWith(message, failure, StringComparison.Ordinal);
        Assert.Equal(failure, exception.Message);
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
            QuietTime = -Tick,
            MessageGap = -Tick,
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
        Assert.Equal(checkable.Order(), exception.Failures.Select(failure => failure.Split(' ')[1]).Order());
    }

    // What "90" in a configuration is to .NET.
    [Fact]
    public void ThrowIfInvalid_EveryTimeANumberAlone_NamesEachAndSaysWhatToWrite()
    {
        var options = new GracefulCloseOptions();
        var times = typeof(GracefulCloseOptions).GetProperties()
            .Where(property => property.PropertyType == typeof(TimeSpan) || property.PropertyType == typeof(TimeSpan?))
            .ToArray();
        Array.ForEach(times, property => property.SetValue(options, TimeSpan.Parse("90", CultureInfo.InvariantCulture)));

        var exception = Assert.Throws<OptionsValidationException>(() => GracefulCloseOptionsValidator.ThrowIfInvalid(options));

        Assert.Equal(
            times.Select(time =>
                $"GracefulCloseOptions: {time.Name} must be shorter than one day, but was 90.00:00:00. "
                + "A number alone counts days: for 90 seconds write \"00:01:30\".").Order(),
            exception.Failures.Order());
    }

    [Fact]
    public void ThrowIfInvalid_OptionsOfAnEndpoint_NamesIt()
    {
        var options = new GracefulCloseOptions { CloseTimeout = TimeSpan.Zero };

        var exception = Assert.Throws<OptionsValidationException>(
            () => GracefulCloseOptionsValidator.ThrowIfInvalid(options, "http://127.0.0.1:5000"));

        Assert.EndsWith(
            "GracefulCloseOptions of the endpoint http://127.0.0.1:5000: CloseTimeout must be positive and finite, but was 00:00:00.",
            exception.Message,
            StringComparison.Ordinal);
    }
}
