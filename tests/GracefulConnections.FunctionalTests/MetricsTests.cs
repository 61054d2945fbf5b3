using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.FunctionalTests;

/// <summary>The library's series have the tags of Kestrel's own for the same connection, so that they can be joined.</summary>
public class MetricsTests
{
    private const string KestrelActive = "kestrel.active_connections";
    private const string KestrelDuration = "kestrel.connection.duration";

    public static TheoryData<EndPoint> EndPoints =>
    [
        new IPEndPoint(IPAddress.Loopback, 0),
        new IPEndPoint(IPAddress.IPv6Loopback, 0),
        new UnixDomainSocketEndPoint(Path.Combine(Path.GetTempPath(), $"graceful-{Guid.NewGuid():N}.sock")),
    ];

    [Theory]
    [MemberData(nameof(EndPoints), DisableDiscoveryEnumeration = true)]
    public async Task Close_EveryKindOfEndpoint_HasTheTagsOfKestrelsOwn(EndPoint endPoint)
    {
        await using var server = await TestServer.StartAsync(
            endPoint,
            static (server, endpoint) => endpoint.UseGracefulShutdown().Use(server.ObserveResults).Run(HandlerSteps.EchoAsync));
        var measured = new ConcurrentQueue<(string Instrument, double Value, KeyValuePair<string, object?>[] Tags)>();
        using var listener = Listen(server.Services.GetRequiredService<IMeterFactory>(), measured.Enqueue);
        await using (var peer = await ScriptedPeer.ConnectAsync(server.EndPoint))
        {
            await peer.SendAsync(new byte[1]);
            await peer.ReadExactlyAsync(1);
            peer.HalfClose();
            await peer.ReadToEndAsync();
        }

        await Eventually.IsTrueAsync(() => measured.Any(static one => one.Instrument == KestrelDuration));

        var kestrels = measured.First(static one => one.Instrument == KestrelActive).Tags;
        Assert.NotEmpty(kestrels);
        foreach (var instrument in (string[])[GracefulTelemetry.ActiveConnections, GracefulTelemetry.ClosingConnections])
        {
            var changes = measured.Where(one => one.Instrument == instrument).ToArray();
            Assert.Equal([1, -1], changes.Select(static one => one.Value));
            Assert.All(changes, one => Assert.Equal(kestrels, one.Tags));
        }

        var (_, _, tags) = Assert.Single(measured, static one => one.Instrument == GracefulTelemetry.CloseDuration);
        Assert.Equal(
            [
                .. kestrels,
                new(GracefulTelemetry.OutcomeTag, "graceful"),
                new(GracefulTelemetry.ReasonTag, "handler_completed"),
            ],
            tags);
    }

    [Fact]
    public async Task Abort_PeerResets_IsAnErrorOfTheSameName()
    {
        await using var server = await TestServer.StartAsync(HandlerSteps.EchoAsync);
        var measured = new ConcurrentQueue<(string Instrument, double Value, KeyValuePair<string, object?>[] Tags)>();
        using var listener = Listen(server.Services.GetRequiredService<IMeterFactory>(), measured.Enqueue);
        await using (var peer = await server.ConnectAsync())
        {
            await peer.SendAsync(new byte[1]);
            await peer.ReadExactlyAsync(1);
            peer.Reset();
        }

        Assert.Equal(CloseOutcome.PeerReset, (await server.NextResultAsync()).Outcome);

        await Eventually.IsTrueAsync(() => measured.Any(static one => one.Instrument == GracefulTelemetry.CloseDuration));
        var (_, _, tags) = Assert.Single(measured, static one => one.Instrument == GracefulTelemetry.CloseDuration);
        Assert.Contains(new KeyValuePair<string, object?>("error.type", "peer_reset"), tags);
    }

    private static MeterListener Listen(
        IMeterFactory host, Action<(string Instrument, double Value, KeyValuePair<string, object?>[] Tags)> note)
    {
        var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (ReferenceEquals(instrument.Meter.Scope, host))
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => note((instrument.Name, value, tags.ToArray())));
        listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => note((instrument.Name, value, tags.ToArray())));
        listener.Start();
        return listener;
    }
}
