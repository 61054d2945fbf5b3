using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>
/// A program that drains, in the integration tests of its authors: the host is made by
/// <see cref="WebApplicationFactory{TEntryPoint}"/>, and its server is in memory.
/// </summary>
public sealed class TestHostTests
{
    [Fact]
    public async Task StopApplication_TestServer_AnnouncesAndStops()
    {
        await using var factory = CreateFactory();
        using var client = factory.CreateClient();
        Assert.Equal(HttpStatusCode.OK, await ProbeAsync(client));
        var drain = factory.Services.GetRequiredService<IDrainCoordinator>();
        var lifetime = factory.Services.GetRequiredService<IHostApplicationLifetime>();

        lifetime.StopApplication();

        Assert.True(lifetime.ApplicationStopping.IsCancellationRequested);
        Assert.True(drain.DrainAnnounced.IsCancellationRequested);
        await Eventually.IsTrueAsync(() => drain.Phase == DrainPhase.Drained); // The program's own app.Run() stops the host.
        await factory.DisposeAsync().AsTask().InTimeAsync();
    }

    [Fact]
    public async Task DrainAsync_TestServer_EndsAndTheHostGoesOn()
    {
        await using var factory = CreateFactory();
        using var client = factory.CreateClient();

        var report = await factory.Services.GetRequiredService<IDrainCoordinator>()
            .DrainAsync(TestContext.Current.CancellationToken).InTimeAsync();

        Assert.Equal(0, report.ConnectionCount);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, await ProbeAsync(client));
    }

    [Fact]
    public async Task Dispose_NobodyStopped_DoesNotHang()
    {
        var factory = CreateFactory();
        var drain = factory.Services.GetRequiredService<IDrainCoordinator>();
        Assert.IsType<Microsoft.AspNetCore.TestHost.TestServer>(factory.Services.GetRequiredService<IServer>());

        await Task.Run(factory.Dispose, TestContext.Current.CancellationToken).InTimeAsync();

        Assert.Equal(DrainPhase.Drained, drain.Phase);
    }

    [Fact]
    public async Task Dispose_RealKestrel_DrainsItsConnections()
    {
        var factory = CreateFactory();
        factory.UseKestrel();
        factory.StartServer();
        var address = new Uri(factory.Services.GetRequiredService<IServer>().Features
            .Get<IServerAddressesFeature>()!.Addresses.Single());
        await using var peer = await ScriptedPeer.ConnectAsync(new IPEndPoint(IPAddress.Loopback, address.Port));
        await peer.SendAsync(StopServer.Ping);
        await peer.ReadExactlyAsync(1);

        var disposed = factory.DisposeAsync().AsTask();

        Assert.Equal((StopServer.Goodbye.Length, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await disposed.InTimeAsync();
    }

    private static WebApplicationFactory<Program> CreateFactory() =>
        new WebApplicationFactory<Program>().WithWebHostBuilder(static builder =>
        {
            builder.UseSetting("Systemd", "None");
            builder.ConfigureServices(static services =>
            {
                services.AddHealthChecks().AddDrainCheck();
                services.AddSingleton<IStartupFilter, HealthEndpoint>();
            });
        });

    private static async Task<HttpStatusCode> ProbeAsync(HttpClient client)
    {
        using var response = await client.GetAsync(new Uri(HealthEndpoint.Path, UriKind.Relative), TestContext.Current.CancellationToken);
        return response.StatusCode;
    }
}
