using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples;

/// <summary>
/// The options of each leg of the sample <c>samples/TcpProxy</c>, the check of its configuration, and its counters.
/// </summary>
public sealed class TcpProxyLimitTests
{
    [Theory]
    [InlineData("Downstream")]
    [InlineData("Upstream")]
    public async Task IdleTimeout_OfEitherLeg_EndsBoth(string leg)
    {
        await using var proxy = await TcpProxy.StartAsync(
            $"--Proxy:{leg}:IdleTimeout",
            "0:00:00.5",
            "--Proxy:Downstream:QuietTime",
            "0:00:00.1",
            "--Proxy:Downstream:MessageGap",
            "0:00:00.1");
        var (downstream, upstream) = await proxy.ConnectPairAsync();
        await using var _ = downstream;
        await using var __ = upstream;
        await downstream.SendAsync(new byte[1]);
        await upstream.ReadExactlyAsync(1);
        await upstream.SendAsync(new byte[1]); // What nobody has answered would end by RST.
        await downstream.ReadExactlyAsync(1);

        Assert.Equal((0, PeerSaw.Eof), await upstream.ReadToEndAsync());
        upstream.HalfClose();
        Assert.Equal((0, PeerSaw.Eof), await downstream.ReadToEndAsync());
        downstream.HalfClose();

        Assert.Equal((CloseOutcome.Graceful, CloseOutcome.Graceful), await proxy.OutcomesAsync());
    }

    [Fact]
    public async Task LingerIdleTimeout_OfTheDownstreamLeg_EndsWithoutAPeerThatNeverDoes()
    {
        await using var proxy = await TcpProxy.StartAsync(
            "--Proxy:Downstream:LingerIdleTimeout", "0:00:00.5", "--Proxy:Downstream:IdleTimeout", "0:00:00.5");
        var (downstream, upstream) = await proxy.ConnectPairAsync();
        await using var _ = downstream;
        await using var __ = upstream;
        Assert.Equal((0, PeerSaw.Eof), await upstream.ReadToEndAsync());
        upstream.HalfClose();
        Assert.Equal((0, PeerSaw.Eof), await downstream.ReadToEndAsync());

        Assert.Equal((CloseOutcome.LingerTimedOut, CloseOutcome.Graceful), await proxy.OutcomesAsync());
        await downstream.SendUntilResetAsync();
    }

    [Fact]
    public async Task Counters_AfterTraffic_AreLogged()
    {
        await using var proxy = await TcpProxy.StartAsync("--Proxy:ReportInterval", "0:00:00.1");
        var (downstream, upstream) = await proxy.ConnectPairAsync();
        await using var _ = downstream;
        await using var __ = upstream;
        await downstream.SendAsync(new byte[1000]);
        await upstream.ReadExactlyAsync(1000);
        await upstream.SendAsync(new byte[2000]);
        await downstream.ReadExactlyAsync(2000);
        await proxy.Sample.LogContainsAsync(
            "1 connections now, 1 in total; 1,000 bytes to the upstream, 2,000 back; 0 resets.");

        downstream.Reset();

        await proxy.Sample.LogContainsAsync(
            "0 connections now, 1 in total; 1,000 bytes to the upstream, 2,000 back; 1 resets.");
    }

    [Theory]
    [InlineData("Proxy:Connect is missing. Say where to relay to, for example --Proxy:Connect 127.0.0.1:6380.")]
    [InlineData(
        "Proxy:Connect must be an IP address or a host name, and a port from 1 to 65535", "--Proxy:Connect", "6380")]
    [InlineData("but was \"127.0.0.1:0\".", "--Proxy:Connect", "127.0.0.1:0")]
    [InlineData("Proxy:Listen must be an IP address and a port, such as 127.0.0.1:7100; port 0 is any free one, but was \"7100\".", "--Proxy:Listen", "7100")]
    [InlineData(
        "Proxy:ConnectTimeout must be a time of more than 0 and at most a day, such as 0:00:05, but was \"-0:00:01\".",
        "--Proxy:ConnectTimeout", "-0:00:01")]
    [InlineData("but was \"127.0.0.1:7101,\".", "--Proxy:Connect", "127.0.0.1:7101,")]
    [InlineData("Proxy:MaxConnections must be a number of at least 1, but was \"0\".", "--Proxy:MaxConnections", "0")]
    [InlineData("Proxy:ProxyHeader must be 0 for none, 1 or 2, but was \"3\".", "--Proxy:ProxyHeader", "3")]
    [InlineData("Proxy:Listn is unknown. Use Proxy:Listen, ", "--Proxy:Listn", "127.0.0.1:7100")]
    [InlineData(
        "GracefulCloseOptions of the endpoint Proxy:Upstream: CloseTimeout must be positive and finite, but was 00:00:00.",
        "--Proxy:Upstream:CloseTimeout",
        "0:00:00")]
    [InlineData(
        "Failed to convert configuration value 'soon' at 'Proxy:Downstream:IdleTimeout' to type 'System.TimeSpan'.",
        "--Proxy:Downstream:IdleTimeout", "soon")]
    [InlineData("'IdleTime'", "--Proxy:Downstream:IdleTime", "0:00:01")]
    public async Task Start_BadConfiguration_SaysWhatAndExits(string error, params string[] arguments)
    {
        await using var sample = SampleProcess.Start("TcpProxy", arguments);

        Assert.Equal(1, await sample.WaitForExitAsync());
        Assert.Contains(error, sample.Log, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", sample.Log, StringComparison.Ordinal); // Said to a person, not thrown at one.
    }
}
