using GracefulConnections.Draining;

namespace GracefulConnections.Tests.Draining;

public class ServerDrainOptionsValidatorTests
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);

    // The longest shutdown timeout of a host, less the second for the exit.
    private static readonly TimeSpan Longest = TimeSpan.FromMilliseconds(uint.MaxValue - 1) - TimeSpan.FromSeconds(2);

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
        {
            options => options.SpreadWindow = TimeSpan.MaxValue,
            "ServerDrainOptions: SpreadWindow must be less than DrainTimeout (00:00:20), or the last connections are aborted before they are asked to close, but was 10675199.02:48:05.4775807."
        },
        { options => options.LingerIdleTimeout = TimeSpan.Zero, "ServerDrainOptions: LingerIdleTimeout must be positive, or Timeout.InfiniteTimeSpan for the endpoint's own, but was 00:00:00." },
        { options => options.LingerIdleTimeout = TimeSpan.FromSeconds(-5), "ServerDrainOptions: LingerIdleTimeout must be positive, or Timeout.InfiniteTimeSpan for the endpoint's own, but was -00:00:05." },
        { options => options.ReportInterval = TimeSpan.Zero, "ServerDrainOptions: ReportInterval must be at least 100 ms, or Timeout.InfiniteTimeSpan for no reports, but was 00:00:00." },
        { options => options.ReportInterval = TimeSpan.FromMilliseconds(100) - Tick, "ServerDrainOptions: ReportInterval must be at least 100 ms, or Timeout.InfiniteTimeSpan for no reports, but was 00:00:00.0999999." },
        { options => options.ReportInterval = TimeSpan.MinValue, "ServerDrainOptions: ReportInterval must be at least 100 ms, or Timeout.InfiniteTimeSpan for no reports, but was -10675199.02:48:05.4775808." },
        {
            options => options.AnnounceDelay = TimeSpan.FromDays(50),
            "ServerDrainOptions: AnnounceDelay 50.00:00:00 + DrainTimeout 00:00:20 + 00:00:02 for aborted connections and the exit must be at most 49.17:02:47.2940000, the longest shutdown timeout a host can have."
        },
        {
            options => options.DrainTimeout = TimeSpan.MaxValue,
            "ServerDrainOptions: AnnounceDelay 00:00:00 + DrainTimeout 10675199.02:48:05.4775807 + 00:00:02 for aborted connections and the exit must be at most 49.17:02:47.2940000, the longest shutdown timeout a host can have."
        },
        {
            options => (options.AnnounceDelay, options.DrainTimeout) = (TimeSpan.MaxValue, TimeSpan.MaxValue),
            "ServerDrainOptions: AnnounceDelay 10675199.02:48:05.4775807 + DrainTimeout 10675199.02:48:05.4775807 + 00:00:02 for aborted connections and the exit must be at most 49.17:02:47.2940000, the longest shutdown timeout a host can have."
        },
        {
            options => (options.AnnounceDelay, options.DrainTimeout) = (Tick, Longest),
            "ServerDrainOptions: AnnounceDelay 00:00:00.0000001 + DrainTimeout 49.17:02:45.2940000 + 00:00:02 for aborted connections and the exit must be at most 49.17:02:47.2940000, the longest shutdown timeout a host can have."
        },
    };

    public static TheoryData<Action<ServerDrainOptions>> GoodValues => new(
        _ => { },
        options => options.AnnounceDelay = TimeSpan.Zero,
        options => options.AnnounceDelay = Tick,
        options => options.DrainTimeout = Tick,
        options => options.DrainTimeout = Longest,
        options => (options.AnnounceDelay, options.DrainTimeout) = (Longest - TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(20)),
        options => options.SpreadWindow = TimeSpan.Zero,
        options => options.SpreadWindow = options.DrainTimeout - Tick,
        options => options.LingerIdleTimeout = Tick,
        options => options.LingerIdleTimeout = Timeout.InfiniteTimeSpan,
        options => options.LingerIdleTimeout = TimeSpan.MaxValue,
        options => options.ReportInterval = TimeSpan.FromMilliseconds(100),
        options => options.ReportInterval = Timeout.InfiniteTimeSpan,
        options => options.ReportInterval = TimeSpan.MaxValue);

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

    [Fact]
    public void Validate_TwoContradictions_NamesBoth()
    {
        var options = new ServerDrainOptions { AnnounceDelay = TimeSpan.FromDays(50), SpreadWindow = TimeSpan.FromSeconds(21) };

        var result = new ServerDrainOptionsValidator().Validate(null, options);

        Assert.Collection(
            result.Failures!,
            failure => Assert.StartsWith("ServerDrainOptions: SpreadWindow must be less than DrainTimeout", failure, StringComparison.Ordinal),
            failure => Assert.StartsWith("ServerDrainOptions: AnnounceDelay 50.00:00:00 + DrainTimeout", failure, StringComparison.Ordinal));
    }

    [Fact]
    public void Validate_DrainTimeoutBad_DoesNotCompareTheWindowWithIt()
    {
        var options = new ServerDrainOptions { DrainTimeout = TimeSpan.Zero, SpreadWindow = TimeSpan.FromSeconds(1) };

        Assert.Equal(["ServerDrainOptions: DrainTimeout must be positive and finite, but was 00:00:00."], new ServerDrainOptionsValidator().Validate(null, options).Failures);
    }
}
