using GracefulConnections.FunctionalTests.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>The log of a drain whose linger and whose report are due at the same moment, as both are by default.</summary>
public class DrainLogOrderTests
{
    private const int HostCount = 30;
    private const int PeerCount = 20;
    private const int Started = 11;
    private const int Progress = 12;

    [Fact]
    public async Task Stop_PeersKeepTheirSidesOpen_NothingComesBehindDrained()
    {
        var drains = await Task.WhenAll(Enumerable.Range(0, HostCount).Select(static _ => DrainAsync()));

        Assert.All(drains, static events =>
        {
            Assert.Equal((Started, GracefulTelemetry.DrainEndedEvent), (events[0], events[^1]));
            Assert.All(events[1..^1], static id => Assert.Equal(Progress, id));
        });
    }

    private static async Task<int[]> DrainAsync()
    {
        using var log = new CapturedLog();
        await using var server = await TestServer.StartAsync(
            HandlerSteps.EchoAsync,
            build: builder =>
            {
                builder.Logging.AddProvider(log);
                builder.Services.AddGracefulShutdown();
            });
        var peers = await Task.WhenAll(Enumerable.Range(0, PeerCount).Select(async _ =>
        {
            var peer = await server.ConnectAsync();
            await peer.SendAsync(new byte[1]);
            await peer.ReadExactlyAsync(1);
            return peer;
        }));

        await server.StopAsync();

        await Task.WhenAll(peers.Select(static peer => peer.DisposeAsync().AsTask()));
        return
        [
            .. log.Entries
                .Where(static entry => entry.Category == GracefulTelemetry.LogCategory
                    && entry.EventId is Started or Progress or GracefulTelemetry.DrainEndedEvent)
                .Select(static entry => entry.EventId),
        ];
    }
}
