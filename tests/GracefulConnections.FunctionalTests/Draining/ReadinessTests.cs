using System.Net;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>What a load balancer sees: a readiness endpoint over HTTP that fails from the announcement on, and a server that still serves until the load balancer has noticed.</summary>
public class ReadinessTests
{
    private const int MessageBytes = 1000;
    private static readonly TimeSpan AnnounceDelay = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task Ready_FromTheAnnouncementOn_FailsWhileTheServerServesUntilTheDelayIsOver()
    {
        var time = new FakeTimeProvider();
        ListenOptions? http = null;
        await using var server = await TestServer.StartDrainingAsync(
            HandlerSteps.EchoAsync,
            drain =>
            {
                drain.AnnounceDelay = AnnounceDelay;
                drain.DrainTimeout = TimeSpan.FromHours(23); // The clock moves by the delay as often as it takes, and must not come near.
                drain.LingerIdleTimeout = Timeout.InfiniteTimeSpan;
            },
            options => options.LingerIdleTimeout = Timeout.InfiniteTimeSpan,
            builder =>
            {
                builder.Services.AddSingleton<TimeProvider>(time);
                builder.Services.AddHealthChecks().AddDrainCheck();
                builder.Services.AddSingleton<IStartupFilter, HealthEndpoint>();
                builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, endpoint => http = endpoint));
            });
        var announced = new TaskCompletionSource();
        await using var registration = server.Drain.DrainAnnounced.Register(announced.SetResult);
        await using var early = await server.ConnectAsync();
        await EchoAsync(early);
        Assert.Equal(HttpStatusCode.OK, await ProbeAsync(http!));

        var stopping = server.StopAndReportAsync();
        await announced.Task.InTimeAsync();

        Assert.Equal(HttpStatusCode.ServiceUnavailable, await ProbeAsync(http!));
        Assert.Equal(DrainPhase.Announced, server.Drain.Phase);
        await using var late = await server.ConnectAsync();
        await EchoAsync(late);
        await EchoAsync(early);
        Assert.All(server.Drain.GetConnections(), static connection => Assert.False(connection.IsCloseRequested));

        await Eventually.IsTrueAsync(() =>
        {
            time.Advance(AnnounceDelay);
            return server.Drain.Phase > DrainPhase.Announced;
        });

        // The silence of the peers counts on the same clock.
        await Eventually.IsTrueAsync(() =>
        {
            time.Advance(TimeSpan.FromSeconds(1));
            return server.Drain.GetConnections().All(static connection => connection.State == CloseState.Lingering);
        });
        foreach (var peer in (ScriptedPeer[])[early, late])
        {
            Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
            peer.HalfClose();
        }

        var report = await stopping;
        Assert.Equal((2, 2), (report.ConnectionCount, report.DeliveredCount));
    }

    // Without a delay nobody is left to answer a probe: Kestrel has unbound before the first connection is asked.
    [Fact]
    public async Task Ready_NoAnnounceDelay_ProbesAreRefused()
    {
        ListenOptions? http = null;
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync, build: builder =>
        {
            builder.Services.AddHealthChecks().AddDrainCheck();
            builder.Services.AddSingleton<IStartupFilter, HealthEndpoint>();
            builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, endpoint => http = endpoint));
        });
        await using var peer = await server.ConnectAsync();
        await EchoAsync(peer);
        Assert.Equal(HttpStatusCode.OK, await ProbeAsync(http!));

        var stopping = server.StopAndReportAsync();
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync()); // The drain goes on, because this peer stays.

        // A program that another test starts has a copy of the listening socket until it is executed: who connects before
        // that is reset when it is.
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        SocketException? refused;
        do
        {
            limit.Token.ThrowIfCancellationRequested();
            var exception = await Assert.ThrowsAsync<HttpRequestException>(() => ProbeAsync(http!));
            refused = exception.GetBaseException() as SocketException;
        }
        while (refused?.SocketErrorCode == SocketError.ConnectionReset);

        Assert.Equal(SocketError.ConnectionRefused, refused?.SocketErrorCode);
        Assert.Equal(DrainPhase.Draining, server.Drain.Phase);
        peer.HalfClose();
        await stopping;
    }

    [Fact]
    public async Task Ready_LiveDrain_GoesOnAnsweringThatItIsNot()
    {
        ListenOptions? http = null;
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync, build: builder =>
        {
            builder.Services.AddHealthChecks().AddDrainCheck();
            builder.Services.AddSingleton<IStartupFilter, HealthEndpoint>();
            builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, endpoint => http = endpoint));
        });
        Assert.Equal(HttpStatusCode.OK, await ProbeAsync(http!));
        await server.DrainAsync(static _ => true);
        Assert.Equal(HttpStatusCode.OK, await ProbeAsync(http!)); // A part, though it was all.

        await server.DrainAsync();

        Assert.Equal(HttpStatusCode.ServiceUnavailable, await ProbeAsync(http!));
    }

    private static async Task EchoAsync(ScriptedPeer peer)
    {
        await peer.SendAsync(new byte[MessageBytes]);
        await peer.ReadExactlyAsync(MessageBytes);
    }

    private static async Task<HttpStatusCode> ProbeAsync(ListenOptions endpoint)
    {
        using var client = new HttpClient { Timeout = TestServer.TestLimit };
        using var response = await client.GetAsync(new Uri($"http://{endpoint.IPEndPoint}{HealthEndpoint.Path}"), TestContext.Current.CancellationToken);
        return response.StatusCode;
    }
}
