using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples;

/// <summary>SIGTERM to the sample <c>samples/TcpProxy</c> with many connections at once.</summary>
[Collection(SerialTests.Name)]
public sealed class TcpProxyManyTests
{
    private const int PairCount = 2_000;
    private const int DescriptorsNeeded = (2 * PairCount) + 1_000; // In this process and in the proxy.

    [Fact]
    public async Task Stop_TwoThousandConnections_EachEndsByFinOnBothLegs()
    {
        if (OpenFiles.Limit is var limit and < DescriptorsNeeded)
        {
            RequiredProgram.SkipOrFail($"This process may open only {limit} descriptors and needs {DescriptorsNeeded} (ulimit -Hn).");
        }

        // The answer to the last FIN waits for its turn among so many, and that is no fault of the proxy's.
        await using var proxy = await TcpProxy.StartAsync(
            "--Drain:LingerIdleTimeout", $"{TestServer.TestLimit}",
            "--Proxy:Downstream:LingerIdleTimeout", $"{TestServer.TestLimit}",
            "--Proxy:Upstream:LingerIdleTimeout", $"{TestServer.TestLimit}",
            "--Proxy:Downstream:QuietTime", "0:00:00.5",
            "--Proxy:Downstream:MessageGap", "0:00:00.5",
            "--Logging:LogLevel:Default", "Information",
            "--Logging:LogLevel:GracefulConnections", "Information",
            "--Logging:LogLevel:TcpProxy", "Information");
        var pairs = new List<(ScriptedPeer Downstream, ScriptedPeer Upstream)>();
        try
        {
            for (var i = 0; i < PairCount; i++)
            {
                var pair = await proxy.ConnectPairAsync();
                pairs.Add(pair);
                await pair.Downstream.SendAsync(new byte[1]);
                await pair.Upstream.ReadExactlyAsync(1);
                await pair.Upstream.SendAsync(new byte[1]);
                await pair.Downstream.ReadExactlyAsync(1);
            }

            proxy.Sample.Terminate();

            await Parallel.ForEachAsync(pairs, async (pair, _) =>
            {
                Assert.Equal((0, PeerSaw.Eof), await pair.Upstream.ReadToEndAsync());
                pair.Upstream.HalfClose();
                Assert.Equal((0, PeerSaw.Eof), await pair.Downstream.ReadToEndAsync());
                pair.Downstream.HalfClose();
            });
            Assert.Equal(0, await proxy.Sample.WaitForExitAsync());
            Assert.Contains($"({PairCount} Graceful)", proxy.Sample.Log, StringComparison.Ordinal);
        }
        finally
        {
            foreach (var (downstream, upstream) in pairs)
            {
                await downstream.DisposeAsync();
                await upstream.DisposeAsync();
            }
        }
    }
}
