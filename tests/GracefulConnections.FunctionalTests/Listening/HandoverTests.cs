using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.Versioning;
using GracefulConnections.FunctionalTests.Listening.Support;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Listening;

/// <summary>One host hands its listening sockets over to the next, on real sockets inside of one process.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class HandoverTests : IDisposable
{
    private const int HandedOver = 61;
    private const int TookOver = 62;
    private const int SuccessorEnded = 63;
    private const int SuccessorLate = 64;
    private const int SocketsUnclaimed = 66;
    private const int PortNotFixed = 67;
    private const int HandoverFailed = 74;
    private const int Times = 50;

    private readonly TemporaryDirectory _directory = new();
    private readonly int _port = FreePort.Find();

    private string SocketPath => _directory["handover.sock"];

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Start_HostServes_TakesItsSocketAndThePredecessorStops()
    {
        await using var predecessor = await HandoverHost.StartAsync('a', SocketPath, _port);
        Assert.Equal('a', await HandoverHost.WhoServesAsync(_port));

        await using var successor = await HandoverHost.StartAsync('b', SocketPath, _port);
        await predecessor.Stopped;

        Assert.Equal('b', await HandoverHost.WhoServesAsync(_port));
        Assert.Contains($"127.0.0.1:{_port} were handed over", Assert.Single(predecessor.Messages(HandedOver)));
        Assert.Contains($"serves 127.0.0.1:{_port} instead", Assert.Single(successor.Messages(TookOver)));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(SocketPath));
        Assert.Equal([SocketPath], Directory.GetFiles(Path.GetDirectoryName(SocketPath)!));
    }

    [Fact]
    public async Task Dispose_NobodyStoppedTheHost_IsNoFault()
    {
        var host = await HandoverHost.StartAsync('a', SocketPath, _port);
        await Eventually.IsTrueAsync(() => File.Exists(SocketPath));

        await host.DisposeWithoutStopAsync().AsTask().InTimeAsync();

        await using var next = await HandoverHost.StartAsync('b', SocketPath, _port);
        Assert.Equal('b', await HandoverHost.WhoServesAsync(_port));
        Assert.Empty(next.Messages(TookOver));
        Assert.DoesNotContain(host.Log.Entries, static entry =>
            entry.Category == GracefulTelemetry.LogCategory && entry.Level >= LogLevel.Warning);
    }

    [Fact]
    public async Task Start_ManyEndpoints_AreAllHandedOver()
    {
        const int count = 400; // Their descriptors do not fit into the channel at once.
        string[] paths = [.. Enumerable.Range(0, count).Select(i => _directory[$"{i}.sock"])];
        Task<HandoverHost> StartAsync(char name) => HandoverHost.StartAsync(name, SocketPath, (host, kestrel) =>
            Array.ForEach(paths, path => kestrel.ListenUnixSocket(path, host.Serve)));
        await using var predecessor = await StartAsync('a');

        await using var successor = await StartAsync('b');
        await predecessor.Stopped;

        Assert.Equal('b', await HandoverHost.WhoServesAsync(new UnixDomainSocketEndPoint(paths[0])));
        Assert.Equal('b', await HandoverHost.WhoServesAsync(new UnixDomainSocketEndPoint(paths[^1])));
        Assert.Empty(predecessor.Messages(HandoverFailed));
    }

    [Fact]
    public async Task Start_ThreeGenerations_EachTakesOverFromTheLast()
    {
        await using var first = await HandoverHost.StartAsync('a', SocketPath, _port);
        await using var second = await HandoverHost.StartAsync('b', SocketPath, _port);
        await first.Stopped;
        await using var third = await HandoverHost.StartAsync('c', SocketPath, _port);
        await second.Stopped;

        Assert.Equal('c', await HandoverHost.WhoServesAsync(_port));
        third.Stop();
        await third.Stopped;
        Assert.False(File.Exists(SocketPath));
        await Assert.ThrowsAsync<SocketException>(() => HandoverHost.WhoServesAsync(_port));
    }

    [Fact]
    public async Task Start_EndpointsOfEveryKind_AreAllHandedOver()
    {
        var (any, secure, unix) = (FreePort.Find(), FreePort.Find(), _directory["server.sock"]);
        Task<HandoverHost> StartAsync(char name) => HandoverHost.StartAsync(name, SocketPath, (host, kestrel) =>
        {
            kestrel.Listen(IPAddress.Loopback, _port, host.Serve);
            kestrel.ListenAnyIP(any, host.Serve);
            kestrel.Listen(IPAddress.Loopback, secure, endpoint => host.Serve(endpoint.UseHttps(TestCertificate.Server)));
            kestrel.ListenUnixSocket(unix, host.Serve);
        });
        await using var predecessor = await StartAsync('a');

        await using var successor = await StartAsync('b');
        await predecessor.Stopped;

        Assert.Equal('b', await HandoverHost.WhoServesAsync(_port));
        Assert.Equal('b', await HandoverHost.WhoServesAsync(any));
        Assert.Equal('b', await HandoverHost.WhoServesAsync(new UnixDomainSocketEndPoint(unix)));
        Assert.Equal('b', await AskSecurelyAsync(secure));
        Assert.Empty(successor.Messages(SocketsUnclaimed));
        successor.Stop();
        await successor.Stopped;
        Assert.False(File.Exists(unix)); // As on stock Kestrel.
    }

    [Fact]
    public async Task Start_PortChanged_ClosesTheOldSocketAndBindsTheNew()
    {
        var newPort = FreePort.Find();
        await using var predecessor = await HandoverHost.StartAsync('a', SocketPath, _port);

        await using var successor = await HandoverHost.StartAsync('b', SocketPath, newPort);
        await predecessor.Stopped;

        Assert.Equal('b', await HandoverHost.WhoServesAsync(newPort));
        await Assert.ThrowsAsync<SocketException>(() => HandoverHost.WhoServesAsync(_port));
        Assert.Contains(
            $"no endpoint has: 127.0.0.1:{_port}. They were closed. Endpoints that were bound anew: 127.0.0.1:{newPort}.",
            Assert.Single(successor.Messages(SocketsUnclaimed)));
    }

    [Fact]
    public async Task Stop_SuccessorIsStarting_ServesUnderEveryAddress()
    {
        var unix = _directory["server.sock"];
        await using var predecessor = await StartAtBothAsync('a', unix);
        var slow = new SlowStart();

        var starting = StartAtBothAsync('b', unix, slow);
        await slow.IsStarting.InTimeAsync();
        predecessor.Stop();
        await predecessor.Stopped;
        slow.GoOn();
        await using var successor = await starting;

        Assert.Equal('b', await HandoverHost.WhoServesAsync(_port));
        Assert.Equal('b', await HandoverHost.WhoServesAsync(new UnixDomainSocketEndPoint(unix)));
        successor.Stop();
        await successor.Stopped;
        Assert.False(File.Exists(unix));
    }

    [Fact]
    public async Task Stop_SuccessorIsStartingAndEnds_TheNextOneServesUnderEveryAddress()
    {
        var unix = _directory["server.sock"];
        await using var predecessor = await StartAtBothAsync('a', unix);
        using (var dying = await FakeSuccessor.ConnectAsync(SocketPath))
        {
            await dying.TakeAsync();
            predecessor.Stop();
            await predecessor.Stopped;
        }

        await using var next = await StartAtBothAsync('b', unix);

        Assert.Equal('b', await HandoverHost.WhoServesAsync(_port));
        Assert.Equal('b', await HandoverHost.WhoServesAsync(new UnixDomainSocketEndPoint(unix)));
    }

    [Fact]
    public async Task Start_FileOfTheUnixEndpointWasRemoved_BindsItAnewAsStock()
    {
        var unix = _directory["server.sock"];
        await using var stock = await StartStockAsync(unix);
        File.Delete(unix); // As a script does before it starts the next process, or whoever cleans up.
        await using (await StartStockAsync(unix))
        {
            Assert.True(File.Exists(unix));
        }

        await using var predecessor = await StartAtBothAsync('a', unix);
        File.Delete(unix);
        await using var successor = await StartAtBothAsync('b', unix);
        await predecessor.Stopped;

        Assert.Equal('b', await HandoverHost.WhoServesAsync(_port));
        Assert.Equal('b', await HandoverHost.WhoServesAsync(new UnixDomainSocketEndPoint(unix)));
        Assert.Contains($"anew: unix:{unix}.", Assert.Single(successor.Messages(SocketsUnclaimed)));
        successor.Stop();
        await successor.Stopped;
        Assert.False(File.Exists(unix));

        static async Task<WebApplication> StartStockAsync(string unix)
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenUnixSocket(unix, static endpoint => endpoint.Run(static _ => Task.CompletedTask)));
            var app = builder.Build();
            await app.StartAsync().InTimeAsync();
            return app;
        }
    }

    [Fact]
    public async Task Start_UnixEndpointIsAStrangers_LeavesItsFile()
    {
        var unix = _directory["server.sock"];
        await using var stranger = await HandoverHost.StartAsync('a', _directory["other.sock"], (host, kestrel) => kestrel.ListenUnixSocket(unix, host.Serve));

        var exception = await Assert.ThrowsAsync<IOException>(() => StartAtBothAsync('b', unix));

        Assert.Contains($"is in use by a process that does not serve {SocketPath}", exception.InnerException!.Message);
        Assert.Equal('a', await HandoverHost.WhoServesAsync(new UnixDomainSocketEndPoint(unix)));
    }

    [Fact]
    public async Task Start_SuccessorsEndBeforeReady_PredecessorServesOn()
    {
        await using var predecessor = await HandoverHost.StartAsync('a', SocketPath, _port);
        for (var i = 0; i < Times; i++)
        {
            using (var dying = await FakeSuccessor.ConnectAsync(SocketPath))
            {
                Assert.Equal([$"127.0.0.1:{_port}"], await dying.TakeAsync());
            }

            Assert.Equal('a', await HandoverHost.WhoServesAsync(_port));
        }

        await Eventually.IsTrueAsync(() => predecessor.Messages(SuccessorEnded).Length == Times);
        await using var successor = await HandoverHost.StartAsync('b', SocketPath, _port);
        await predecessor.Stopped;
        Assert.Equal('b', await HandoverHost.WhoServesAsync(_port));
    }

    [Fact]
    public async Task Start_SuccessorsHang_PredecessorTellsThemAndServesOn()
    {
        await using var predecessor = await HandoverHost.StartAsync('a', SocketPath, _port, options => options.ReadyTimeout = TimeSpan.FromMilliseconds(20));
        for (var i = 0; i < Times; i++)
        {
            using var hanging = await FakeSuccessor.ConnectAsync(SocketPath);
            await hanging.TakeAsync();
            Assert.Equal("late", await hanging.ReceiveAsync());
            Assert.Equal("", await hanging.ReceiveAsync());
            Assert.Equal('a', await HandoverHost.WhoServesAsync(_port));
        }

        Assert.Equal(Times, predecessor.Messages(SuccessorLate).Length);
    }

    [Fact]
    public async Task Start_TwoSuccessorsAtOnce_OneTakesOverFromTheOther()
    {
        await using var predecessor = await HandoverHost.StartAsync('a', SocketPath, _port);
        await using var load = new ConnectLoad(new IPEndPoint(IPAddress.Loopback, _port), "q"u8.ToArray(), 8, TimeSpan.Zero, TimeSpan.Zero);
        await load.ServesMoreAsync(10);

        var both = await Task.WhenAll(HandoverHost.StartAsync('b', SocketPath, _port), HandoverHost.StartAsync('c', SocketPath, _port));
        await using var one = both[0];
        await using var other = both[1];
        await predecessor.Stopped;
        var (oneStopped, otherStopped) = (one.Stopped, other.Stopped);
        var loser = await Task.WhenAny(oneStopped, otherStopped) == oneStopped ? one : other;

        var winner = loser == one ? other : one;
        await loser.LoggedAsync(HandedOver);
        Assert.Equal(winner.Name, await HandoverHost.WhoServesAsync(_port));
        Assert.Empty(winner.Messages(HandedOver));
        await load.ServesMoreAsync(10);
        await load.StopAsync();
        Assert.Empty(load.Lost);
    }

    [Fact]
    public async Task Start_StaleFile_IsReplaced()
    {
        var killed = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        killed.Bind(new UnixDomainSocketEndPoint(_directory["before"]));
        File.Move(_directory["before"], SocketPath); // The runtime does not find it when it deletes its file.
        killed.Dispose();
        Assert.True(File.Exists(SocketPath));

        await using var host = await HandoverHost.StartAsync('a', SocketPath, _port);

        await using var successor = await HandoverHost.StartAsync('b', SocketPath, _port);
        await host.Stopped;
        Assert.Equal('b', await HandoverHost.WhoServesAsync(_port));
    }

    [Fact]
    public async Task Start_AddressIsAStrangers_SaysSo()
    {
        using var stranger = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        stranger.Bind(new IPEndPoint(IPAddress.Loopback, _port));
        stranger.Listen();

        var exception = await Assert.ThrowsAsync<IOException>(() => HandoverHost.StartAsync('a', SocketPath, _port));

        var inner = Assert.IsType<AddressInUseException>(exception.InnerException);
        Assert.Contains($"127.0.0.1:{_port} is in use by a process that does not serve {SocketPath}", inner.Message);
    }

    [Fact]
    public async Task Start_NoFilesCanBeMadeThere_SaysSo()
    {
        const string Path = "/proc/handover.sock";

        var exception = await Assert.ThrowsAsync<IOException>(() => HandoverHost.StartAsync('a', Path, _port));

        Assert.Contains($"SocketPath must be in a directory in which this process may make files, but was {Path}", exception.Message);
        Assert.NotNull(exception.InnerException);
        await using var next = await HandoverHost.StartAsync('b', SocketPath, _port); // The port is free again.
    }

    [Fact]
    public async Task Start_PortZero_IsNotHandedOverAndSaysSo()
    {
        await using var host = await HandoverHost.StartAsync('a', SocketPath, 0);
        Assert.Single(host.Messages(PortNotFixed));

        using var successor = await FakeSuccessor.ConnectAsync(SocketPath);
        Assert.Empty(await successor.TakeAsync());
    }

    [Fact]
    public async Task HandOver_BusyPeer_IsServedToItsEndAndThePredecessorStaysHealthy()
    {
        await using var predecessor = await HandoverHost.StartAsync(
            'a', SocketPath, _port, build: builder =>
            {
                builder.Services.AddHealthChecks().AddDrainCheck();
                builder.Services.Configure<ServerDrainOptions>(options => options.AnnounceDelay = TimeSpan.FromMinutes(5));
            });
        await using var busy = await ScriptedPeer.ConnectAsync(new IPEndPoint(IPAddress.Loopback, _port));
        await busy.SendAsync("w"u8.ToArray());
        await busy.AllAcknowledgedAsync();
        var drain = predecessor.Services.GetRequiredService<IDrainCoordinator>();
        await Eventually.IsTrueAsync(() => drain.GetConnections() is [{ Activity: ConnectionActivity.Busy }]);

        await using var successor = await HandoverHost.StartAsync('b', SocketPath, _port);
        await Eventually.IsTrueAsync(() => drain.Phase == DrainPhase.Draining); // No announcement is waited for.
        await Eventually.IsTrueAsync(() => drain.GetConnections() is [{ IsCloseRequested: true }]); // Asked behind the phase.

        Assert.Equal('b', await HandoverHost.WhoServesAsync(_port));
        var health = predecessor.Services.GetRequiredService<HealthCheckService>();
        Assert.Equal(HealthStatus.Healthy, (await health.CheckHealthAsync(TestContext.Current.CancellationToken)).Status);
        Assert.Equal(CloseReason.Handover, drain.GetConnections()[0].Reason);
        predecessor.EndWork();
        Assert.Equal((1, PeerSaw.Eof), await busy.ReadToEndAsync());
        busy.HalfClose();
        await predecessor.Stopped;
    }

    private Task<HandoverHost> StartAtBothAsync(char name, string unix, SlowStart? slow = null) => HandoverHost.StartAsync(
        name,
        SocketPath,
        (host, kestrel) =>
        {
            kestrel.Listen(IPAddress.Loopback, _port, host.Serve);
            kestrel.ListenUnixSocket(unix, host.Serve);
        },
        build: builder =>
        {
            if (slow is not null)
            {
                builder.Services.AddSingleton<IHostedService>(slow);
            }
        });

    private static async Task<char> AskSecurelyAsync(int port)
    {
        await using var peer = await ScriptedPeer.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port));
        await using var stream = new SslStream(new NetworkStream(peer.Socket));
        await stream.AuthenticateAsClientAsync(TestCertificate.TrustingOptions, TestContext.Current.CancellationToken).InTimeAsync();
        await stream.WriteAsync("?"u8.ToArray(), TestContext.Current.CancellationToken);
        return (char)stream.ReadByte();
    }
}
