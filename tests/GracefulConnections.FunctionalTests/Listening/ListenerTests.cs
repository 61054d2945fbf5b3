using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using GracefulConnections.FunctionalTests.Listening.Support;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace GracefulConnections.FunctionalTests.Listening;

/// <summary>The listeners of a host with a handover: what they do to shared sockets, and where they stand in Kestrel.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class ListenerTests : IDisposable
{
    private const int IdleCount = 2000;

    private readonly TemporaryDirectory _directory = new();
    private readonly int _port = FreePort.Find();

    private string SocketPath => _directory["handover.sock"];

    private IPEndPoint EndPoint => new(IPAddress.Loopback, _port);

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Unbind_SharedSocket_IsAsItWas()
    {
        await using var host = await HandoverHost.StartAsync('a', SocketPath, _port);
        Assert.Equal('a', await HandoverHost.WhoServesAsync(_port));
        using var held = HeldSocket.OnPort(_port);
        Assert.Equal(1, held.CountQueueEntries());

        host.Stop();
        await host.Stopped;

        Assert.True(held.IsListening);
        Assert.False(held.Lingers);
        Assert.Equal(0, held.CountQueueEntries()); // Or each connect of its successor would wake this process.
    }

    [Fact]
    public async Task HandOver_SharedSocket_IsAsItWas()
    {
        await using var predecessor = await HandoverHost.StartAsync('a', SocketPath, _port);
        using var held = HeldSocket.OnPort(_port);

        await using var successor = await HandoverHost.StartAsync('b', SocketPath, _port);
        await predecessor.Stopped;

        Assert.True(held.IsListening);
        Assert.False(held.Lingers);
        Assert.Equal('b', await HandoverHost.WhoServesAsync(_port));
        Assert.Equal(1, held.CountQueueEntries()); // The successor's, which is in this process too.
    }

    [Fact]
    public async Task HandOver_ThousandsOfIdleConnections_EndByFinWhileTheSuccessorServes()
    {
        await using var predecessor = await HandoverHost.StartAsync('a', SocketPath, _port);
        var idle = await Task.WhenAll(Enumerable.Range(0, IdleCount).Select(async _ =>
        {
            var peer = await ScriptedPeer.ConnectAsync(EndPoint);
            Assert.Equal('a', await HandoverHost.AskAsync(peer));
            return peer;
        }));
        var ends = Array.ConvertAll(idle, ReadAndCloseAsync);

        await using var successor = await HandoverHost.StartAsync('b', SocketPath, _port);
        await using var load = new ConnectLoad(EndPoint, "q"u8.ToArray(), 4, TimeSpan.Zero, TimeSpan.Zero);
        await predecessor.Stopped;

        Assert.All(await Task.WhenAll(ends).InTimeAsync(), static end => Assert.Equal((0, PeerSaw.Eof), end));
        var report = await predecessor.Services.GetRequiredService<IDrainCoordinator>().DrainAsync(TestContext.Current.CancellationToken);
        Assert.InRange(report.ConnectionCount, IdleCount, int.MaxValue); // Perhaps the first ones of the load.
        Assert.Equal(report.ConnectionCount, report.DeliveredCount);
        await load.ServesMoreAsync(10);
        await load.StopAsync();
        Assert.Empty(load.Lost);
        var other = successor.Services.GetRequiredService<IDrainCoordinator>();
        await Eventually.IsTrueAsync(() => other.ConnectionCount == 0);
        Assert.Equal(DrainPhase.Serving, other.Phase);
    }

    [Fact]
    public async Task Reload_EndpointComesAndGoes_IsHandedOverWhileItIsThere()
    {
        var (removed, added) = (FreePort.Find(), FreePort.Find());
        var configuration = new ReloadableConfiguration();
        configuration.Set("Endpoints:Removed:Url", $"http://127.0.0.1:{removed}");
        await using var host = await HandoverHost.StartAsync('a', SocketPath, (_, kestrel) => kestrel.Configure(new ConfigurationBuilder().Add(configuration).Build(), reloadOnChange: true));

        configuration.Set("Endpoints:Added:Url", $"http://127.0.0.1:{added}");
        configuration.Remove("Endpoints:Removed:Url");
        await Eventually.IsTrueAsync(() => KernelSocket.OnPort(added).Any() && !KernelSocket.OnPort(removed).Any());

        using var successor = await FakeSuccessor.ConnectAsync(SocketPath);
        Assert.Equal([$"127.0.0.1:{added}"], await successor.TakeAsync());
    }

    // Kestrel stops the endpoint and binds it anew, as for another certificate. The address is taken while the successor holds its socket.
    [Fact]
    public async Task Reload_SuccessorIsStarting_EndpointServesOnAsOnStock()
    {
        var (stock, handover) = (await ReloadWhileASuccessorStartsAsync(isStock: true), await ReloadWhileASuccessorStartsAsync(isStock: false));

        Assert.Equal((1, 1), (stock, handover));
    }

    [Fact]
    public async Task Stop_DirectoryOfTheFilesIsGone_StopsAsStock()
    {
        var stock = await StopWithoutDirectoryAsync(static _ => { });
        var handover = await StopWithoutDirectoryAsync(services => services.AddListenerHandover(options => options.SocketPath = _directory["run", "handover.sock"]));

        Assert.Equal((null, null), (stock, handover));
    }

    [Fact]
    public async Task Start_TransportAddedLater_Throws()
    {
        var exception = await Assert.ThrowsAsync<InvalidOperationException>(() => HandoverHost.StartAsync(
            'a', SocketPath, _port, build: static builder => builder.Services.AddSingleton<IConnectionListenerFactory, SocketTransportFactory>()));

        Assert.Contains("AddListenerHandover() was called before the transport", exception.Message);
    }

    [Fact]
    public async Task Start_TransportWithoutHandles_IsLeftAloneWithAWarning()
    {
        await using var host = await HandoverHost.StartAsync('a', SocketPath, _port, build: static builder =>
        {
            var ours = builder.Services.Last(static service => service.ServiceType == typeof(IConnectionListenerFactory));
            builder.Services.Remove(ours);
            builder.Services.RemoveAll<IConnectionListenerFactory>();
            builder.Services.AddSingleton<SocketTransportFactory>();
            builder.Services.AddSingleton<IConnectionListenerFactory, PlainTransport>();
            builder.Services.Add(ours);
        });

        Assert.Equal('a', await HandoverHost.WhoServesAsync(_port));
        Assert.Contains("PlainTransport does not take an open socket", await host.LoggedAsync(68));
    }

    [Fact]
    public async Task Start_BadOptions_NamesAllOfThem()
    {
        var exception = await Assert.ThrowsAsync<OptionsValidationException>(() => HandoverHost.StartAsync('a', "/nowhere/handover.sock", _port, static options => options.ReadyTimeout = TimeSpan.Zero));

        Assert.Equal(2, exception.Failures.Count());
    }

    // As whoever cleans up temporary files removes it from under a process.
    private async Task<Exception?> StopWithoutDirectoryAsync(Action<IServiceCollection> configure)
    {
        var directory = Directory.CreateDirectory(_directory["run"]);
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenUnixSocket(_directory["run", "endpoint.sock"], static endpoint => endpoint.Run(static _ => Task.CompletedTask)));
        configure(builder.Services);
        var app = builder.Build();
        await app.StartAsync().InTimeAsync();
        directory.Delete(recursive: true);
        return await Record.ExceptionAsync(async () =>
        {
            await app.StopAsync().InTimeAsync();
            await app.DisposeAsync();
        });
    }

    private async Task<int> ReloadWhileASuccessorStartsAsync(bool isStock)
    {
        var configuration = new ReloadableConfiguration();
        configuration.Set("Endpoints:One:Url", $"http://127.0.0.1:{_port}");
        using var log = new CapturedLog();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders().AddProvider(log);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Configure(new ConfigurationBuilder().Add(configuration).Build(), reloadOnChange: true).Endpoint("One", endpoint =>
            (isStock ? endpoint.ListenOptions : endpoint.ListenOptions.UseGracefulShutdown()).Run(static connection => connection.SendAsync(1))));
        if (!isStock)
        {
            builder.Services.AddListenerHandover(options => options.SocketPath = SocketPath);
        }

        await using var app = builder.Build();
        await app.StartAsync().InTimeAsync();
        using var successor = isStock ? null : await FakeSuccessor.ConnectAsync(SocketPath);
        await (successor?.TakeAsync() ?? Task.FromResult<List<string>>([]));
        using (isStock ? null : HeldSocket.OnPort(_port)) // The successor's.
        {
            configuration.Change("Endpoints:One:Protocols", "Http1");
            await Eventually.IsTrueAsync(() => log.Entries.Any(static entry => entry.Message.StartsWith("Config changed. Starting", StringComparison.Ordinal)) && KernelSocket.OnPort(_port).Any(static socket => socket.State == KernelSocket.Listen));
            await using var peer = await ScriptedPeer.ConnectAsync(EndPoint);
            return (await peer.ReadExactlyAsync(1)).Length;
        }
    }

    private static async Task<(long Bytes, PeerSaw End)> ReadAndCloseAsync(ScriptedPeer peer)
    {
        await using (peer)
        {
            return await peer.ReadToEndAsync();
        }
    }

    private sealed class PlainTransport(SocketTransportFactory sockets) : IConnectionListenerFactory
    {
        public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) => sockets.BindAsync(endpoint, cancellationToken);
    }
}
