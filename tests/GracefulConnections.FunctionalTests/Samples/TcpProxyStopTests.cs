using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples;

/// <summary>What the peers on both sides of the sample <c>samples/TcpProxy</c> see when SIGTERM arrives.</summary>
public sealed class TcpProxyStopTests
{
    private const int IdleCount = 10;
    private const int ReplyBytes = 5_000_000;

    [Fact]
    public async Task Stop_IdleAndBusyConnections_GetFinOnBothLegsAndTheWholeReply()
    {
        await using var proxy = await TcpProxy.StartAsync("--Drain:DrainTimeout", $"{TestServer.TestLimit}");
        var idle = new List<(ScriptedPeer Downstream, ScriptedPeer Upstream)>();
        try
        {
            for (var i = 0; i < IdleCount; i++)
            {
                idle.Add(await proxy.ConnectPairAsync());
            }

            var (downstream, upstream) = await proxy.ConnectPairAsync();
            await using var _ = downstream;
            await using var __ = upstream;
            await downstream.SendAsync(new byte[1]);
            await upstream.ReadExactlyAsync(1);
            await upstream.SendAsync(new byte[ReplyBytes / 10]);
            await downstream.ReadExactlyAsync(ReplyBytes / 10);

            proxy.Sample.Terminate();

            // Ended by both sides, as programs do that have nothing to say any more.
            foreach (var (idleDownstream, idleUpstream) in idle)
            {
                Assert.Equal((0, PeerSaw.Eof), await idleUpstream.ReadToEndAsync());
                idleUpstream.HalfClose();
                Assert.Equal((0, PeerSaw.Eof), await idleDownstream.ReadToEndAsync());
                idleDownstream.HalfClose();
            }

            // The request has ended for the upstream; its reply has not.
            Assert.Equal((0, PeerSaw.Eof), await upstream.ReadToEndAsync());
            var reading = downstream.ReadToEndAsync();
            await upstream.SendAsync(new byte[ReplyBytes / 10 * 9]);
            upstream.HalfClose();
            Assert.Equal((ReplyBytes / 10 * 9, PeerSaw.Eof), await reading);
            downstream.HalfClose();

            Assert.Equal(0, await proxy.Sample.WaitForExitAsync());
            Assert.Contains($"({IdleCount + 1} Graceful)", proxy.Sample.Log, StringComparison.Ordinal);
        }
        finally
        {
            foreach (var (idleDownstream, idleUpstream) in idle)
            {
                await idleDownstream.DisposeAsync();
                await idleUpstream.DisposeAsync();
            }
        }
    }

    [Fact]
    public async Task Stop_UpstreamNeverReads_IsResetAtTheDeadlineAndTellsWhatIsMissing()
    {
        await using var proxy = await TcpProxy.StartAsync("--Drain:DrainTimeout", "0:00:00.5");
        var (downstream, upstream) = await proxy.ConnectPairAsync();
        await using var _ = downstream;
        await using var __ = upstream;
        await downstream.SendUntilBlockedAsync();

        proxy.Sample.Terminate();

        Assert.Equal((0, PeerSaw.Reset), await downstream.ReadToEndAsync());
        Assert.Equal(0, await proxy.Sample.WaitForExitAsync());
        await upstream.SendUntilResetAsync();
        Assert.Contains("The drain aborted 1 connection", proxy.Sample.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stop_UpstreamThatNeverEnds_HoldsTheProxyUntilTheDeadlineOnly()
    {
        // Longer than the silence after which the upstream gets our FIN.
        await using var proxy = await TcpProxy.StartAsync("--Drain:DrainTimeout", "0:00:03");
        var (downstream, upstream) = await proxy.ConnectPairAsync();
        await using var _ = downstream;
        await using var __ = upstream;

        proxy.Sample.Terminate();

        Assert.Equal((0, PeerSaw.Reset), await downstream.ReadToEndAsync());
        Assert.Equal((0, PeerSaw.Eof), await upstream.ReadToEndAsync());
        Assert.Equal(0, await proxy.Sample.WaitForExitAsync());
        await upstream.SendUntilResetAsync();
    }
}
