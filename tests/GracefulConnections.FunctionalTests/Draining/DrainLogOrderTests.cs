using System.Text.RegularExpressions;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>The log of a drain whose linger and whose report are due at the same moment, as both are by default.</summary>
public partial class DrainLogOrderTests
{
    private const int HostCount = 30;
    private const int PeerCount = 20;
    private const int Closing = 2;
    private const int Closed = 3;
    private const int Started = 11;
    private const int Progress = 12;

    [Fact]
    public async Task Stop_PeersKeepTheirSidesOpen_TellsInTheOrderOfWhatHappened()
    {
        var drains = await Task.WhenAll(Enumerable.Range(0, HostCount).Select(static _ => DrainAsync()));

        Assert.All(drains, static entries =>
        {
            var drain = entries.Where(static entry => entry.EventId is not (Closing or Closed)).Select(static entry => entry.EventId).ToArray();
            Assert.Equal((Started, GracefulTelemetry.DrainEndedEvent), (drain[0], drain[^1]));
            Assert.All(drain[1..^1], static id => Assert.Equal(Progress, id));

            // Nothing of a connection comes before "Draining" or behind "Drained".
            Assert.Equal((Started, GracefulTelemetry.DrainEndedEvent), (entries[0].EventId, entries[^1].EventId));
            var connections = entries.Where(static entry => entry.EventId is Closing or Closed).GroupBy(static entry => ConnectionId().Match(entry.Message).Value).ToArray();
            Assert.Equal(PeerCount, connections.Length);
            Assert.All(connections, static lines => Assert.Equal([Closing, Closed], lines.Select(static line => line.EventId)));
        });
    }

    private static async Task<CapturedLog.Entry[]> DrainAsync()
    {
        using var log = new CapturedLog();
        await using var server = await TestServer.StartAsync(
            HandlerSteps.EchoAsync,
            build: builder =>
            {
                builder.Logging.AddProvider(log).AddFilter<CapturedLog>(GracefulTelemetry.LogCategory, LogLevel.Debug);
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
            .. log.Entries.Where(static entry => entry.Category == GracefulTelemetry.LogCategory
                && entry.EventId is (Closing or Closed or Started or Progress or GracefulTelemetry.DrainEndedEvent)),
        ];
    }

    [GeneratedRegex("(?<=^Connection id \")[^\"]+")]
    private static partial Regex ConnectionId();
}
