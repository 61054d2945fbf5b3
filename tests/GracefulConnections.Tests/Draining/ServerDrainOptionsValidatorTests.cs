using System.Globalization;
using GracefulConnections.Draining;

namespace GracefulConnections.Tests.Draining;

public class ServerDrainOptionsValidatorTests
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);

    private static readonly TimeSpan Longest = TimeSpan.FromDays(1) - Tick;

    public static TheoryData<Action<ServerDrainOptions>, string> BadValues => new()
    {
        { options => options.AnnounceDelay = -Tick, "ServerDrainOptions: AnnounceDelay must be zero or more, and finite, but was -00:00:00.0000001." },
        { options => options.AnnounceDelay = Timeout.InfiniteTimeSpan, "ServerDrainOptions: AnnounceDelay must be zero or more, and finite, but was no limit (Timeout.InfiniteTimeSpan)." },
        { options => options.DrainTimeout = TimeSpan.Zero, "ServerDrainOptions: DrainTimeout must be positive and finite, but was 00:00:00." },
        { options => options.DrainTimeout = TimeSpan.FromSeconds(-20), "ServerDrainOptions: DrainTimeout must be positive and finite, but was -00:00:20." },
        { options => options.DrainTimeout = Timeout.InfiniteTimeSpan, "ServerDrainOptions: DrainTimeout must be positive and finite, but was no limit (Timeout.InfiniteTimeSpan)." },
        { options => options.SpreadWindow = -Tick, "ServerDrainOptions: SpreadWindow must be zero or more, and finite, but was -00:00:00.0000001." },
        { options => options.SpreadWindow = Timeout.InfiniteTimeSpan, "ServerDrainOptions: SpreadWindow must be zero or more, and finite, but was no limit (Timeout.InfiniteTimeSpan)." },
        {
            options => options.SpreadWindow = options.DrainTimeout,
            "ServerDrainOptions: SpreadWindow must be less than DrainTimeout (00:00:20), or the last connections are aborted before they are asked to close, but was 00:00:20."
        },
        { options => options.LingerIdleTimeout = TimeSpan.Zero, "ServerDrainOptions: LingerIdleTimeout must be positive, or Timeout.InfiniteTimeSpan for the endpoint's own, but was 00:00:00." },
        { options => options.LingerIdleTimeout = TimeSpan.FromSeconds(-5), "ServerDrainOptions: LingerIdleTimeout must be positive, or Timeout.InfiniteTimeSpan for the endpoint's own, but was -00:00:05." },
        { options => options.ReportInterval = TimeSpan.Zero, "ServerDrainOptions: ReportInterval must be at least 100 ms, or Timeout.InfiniteTimeSpan for no reports, but was 00:00:00." },
        { options => options.ReportInterval = TimeSpan.FromMilliseconds(100) - Tick, "ServerDrainOptions: ReportInterval must be at least 100 ms, or Timeout.InfiniteTimeSpan for no reports, but was 00:00:00.0999999." },
        { options => options.ReportInterval = TimeSpan.MinValue, "ServerDrainOptions: ReportInterval must be at least 100 ms, or Timeout.InfiniteTimeSpan for no reports, but was -10675199.02:48:05.4775808." },
        { options => options.AnnounceDelay = TimeSpan.FromHours(36), "ServerDrainOptions: AnnounceDelay must be shorter than one day, but was 1.12:00:00." },
        { options => options.DrainTimeout = TimeSpan.MaxValue, "ServerDrainOptions: DrainTimeout must be shorter than one day, but was 10675199.02:48:05.4775807." },
        {
            options => options.DrainTimeout = TimeSpan.Parse("1", CultureInfo.InvariantCulture),
            "ServerDrainOptions: DrainTimeout must be shorter than one day, but was 1.00:00:00. A number alone counts days: for 1 seconds write \"00:00:01\"."
        },
    };

    public static TheoryData<Action<ServerDrainOptions>> GoodValues => new(
        _ => { },
        options => options.AnnounceDelay = TimeSpan.Zero,
        options => options.AnnounceDelay = Tick,
        options => options.DrainTimeout = Tick,
        options => options.DrainTimeout = Longest,
        options => options.AnnounceDelay = Longest,
        options => options.SpreadWindow = TimeSpan.Zero,
        options => options.SpreadWindow = options.DrainTimeout - Tick,
        options => options.LingerIdleTimeout = Tick,
        options => options.LingerIdleTimeout = Timeout.InfiniteTimeSpan,
        options => options.LingerIdleTimeout = Longest,
        options => options.ReportInterval = TimeSpan.FromMilliseconds(100),
        options => options.ReportInterval = Timeout.InfiniteTimeSpan,
        options => options.ReportInterval = Longest);

    [Theory]
    [MemberData(nameof(BadValues), DisableDiscoveryEnumeration = true)]
    public void Validate_OneBadValue_NamesPropertyRuleAndValue(Action<ServerDrainOptions> configure, string message)
    {
        var options = new ServerDrainOptions();
        configure(options);

        var result = new ServerDrainOptionsValidator().Validate(null, options);

        Assert.True(result.Failed);
        Assert.Equal([message], result.Failures);
    }

    [Theory]
    [MemberData(nameof(GoodValues), DisableDiscoveryEnumeration = true)]
    public void Validate_ValueOnTheBoundary_Succeeds(Action<ServerDrainOptions> configure)
    {
        var options = new ServerDrainOptions();
        configure(options);

        Assert.True(new ServerDrainOptionsValidator().Validate(null, options).Succeeded);
    }

    [Fact]
    public void Validate_EverythingBad_NamesEveryPropertyAtOnce()
    {
        var options = new ServerDrainOptions
        {
            AnnounceDelay = -Tick,
            DrainTimeout = TimeSpan.Zero,
            SpreadWindow = -Tick,
            LingerIdleTimeout = TimeSpan.Zero,
            ReportInterval = TimeSpan.Zero,
        };

        var result = new ServerDrainOptionsValidator().Validate(null, options);

        Assert.Equal(
            typeof(ServerDrainOptions).GetProperties().Select(property => property.Name).Order(),
            result.Failures!.Select(failure => failure.Split(' ')[1]).Order());
    }

    // What "10" in a configuration is to .NET.
    [Fact]
    public void Validate_EveryTimeANumberAlone_NamesEachAndSaysWhatToWrite()
    {
        var options = new ServerDrainOptions();
        var times = typeof(ServerDrainOptions).GetProperties();
        Array.ForEach(times, time => time.SetValue(options, TimeSpan.Parse("10", CultureInfo.InvariantCulture)));

        var result = new ServerDrainOptionsValidator().Validate(null, options);

        Assert.Equal(
            times.Select(time =>
                $"ServerDrainOptions: {time.Name} must be shorter than one day, but was 10.00:00:00. "
                + "A number alone counts days: for 10 seconds write \"00:00:10\".").Order(),
            result.Failures!.Order());
    }

    [Fact]
    public void Validate_DrainTimeoutBad_DoesNotCompareTheWindowWithIt()
    {
        var options = new ServerDrainOptions { DrainTimeout = TimeSpan.Zero, SpreadWindow = TimeSpan.FromSeconds(1) };

        Assert.Equal(["ServerDrainOptions: DrainTimeout must be positive and finite, but was 00:00:00."], new ServerDrainOptionsValidator().Validate(null, options).Failures);
    }
}
