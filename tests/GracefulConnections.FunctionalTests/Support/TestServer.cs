using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>
/// A real Kestrel with one raw TCP endpoint, or one on a Unix domain socket. Tells how each connection ended.
/// </summary>
internal sealed class TestServer : IAsyncDisposable
{
    /// <summary>
    /// The limit of every wait: far beyond what any of them needs, so that reaching it is a failure and not a slow
    /// machine.
    /// </summary>
    public static readonly TimeSpan TestLimit = WaitLimit.Longest;

    /// <summary>
    /// What a report of undelivered bytes may be too high by: how much of a send that is under way the kernel has taken
    /// is known only at its end. A send gathers 256 blocks of 4 KiB.
    /// </summary>
    public const int LargestSend = 256 * 4096;

    private static readonly TimeSpan SoonQuiet = TimeSpan.FromMilliseconds(50);

    private GracefulTestServer _inner = null!;

    private TestServer()
    {
    }

    /// <summary>Gets where to connect to.</summary>
    public EndPoint EndPoint => _inner.EndPoint;

    /// <summary>Gets the port, on TCP.</summary>
    public int Port => ((IPEndPoint)EndPoint).Port;

    /// <summary>Gets where the server's connections have their memory from, TLS included.</summary>
    public PoisoningMemoryPoolFactory Memory => _inner.Memory;

    /// <summary>Gets the host's services.</summary>
    public IServiceProvider Services => _inner.Services;

    /// <summary>Gets what drains the host, on a server with <c>AddGracefulShutdown()</c>.</summary>
    public IDrainCoordinator Drain => Services.GetRequiredService<IDrainCoordinator>();

    /// <summary>
    /// Starts a server that closes by <c>UseGracefulShutdown()</c>, and soon takes a peer to be quiet.
    /// </summary>
    public static Task<TestServer> StartAsync(
        Func<ConnectionContext, Task> handler,
        Action<GracefulCloseOptions>? configure = null,
        Action<WebApplicationBuilder>? build = null) =>
        StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (server, endpoint) => endpoint
                .UseGracefulShutdown(options => Configure(options, configure))
                .Use(server.ObserveResults)
                .Run(context => handler(context)),
            build);

    /// <summary>
    /// Starts a server that also drains by <c>AddGracefulShutdown()</c>. Unless the test says so, no time of its drain
    /// and no silence of its peers ends before the limit of every wait.
    /// </summary>
    public static Task<TestServer> StartDrainingAsync(
        Func<ConnectionContext, Task> handler,
        Action<ServerDrainOptions>? drain = null,
        Action<GracefulCloseOptions>? configure = null,
        Action<WebApplicationBuilder>? build = null) =>
        StartAsync(
            handler,
            configure,
            builder =>
            {
                AddPatientDrain(builder, drain);
                build?.Invoke(builder);
            });

    /// <summary>Adds the drain of <see cref="StartDrainingAsync"/> to a server with any pipeline.</summary>
    public static void AddPatientDrain(WebApplicationBuilder builder, Action<ServerDrainOptions>? drain = null)
    {
        // What the drain leaves undone must hang the test, and not end after the host's 30 s.
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = 2 * TestLimit);
        builder.Services.Configure<GracefulCloseOptions>(options =>
        {
            BecomeQuietSoon(options);
            options.LingerIdleTimeout = 2 * TestLimit;
        });
        builder.Services.AddGracefulShutdown(options =>
        {
            options.DrainTimeout = 2 * TestLimit;
            options.LingerIdleTimeout = 2 * TestLimit;
            drain?.Invoke(options);
        });
    }

    /// <summary>Starts the same server as stock Kestrel.</summary>
    public static Task<TestServer> StartStockAsync(Func<ConnectionContext, Task> handler) =>
        StartAsync(new IPEndPoint(IPAddress.Loopback, 0), (_, endpoint) => endpoint.Run(context => handler(context)));

    /// <summary>Starts a server that closes by <c>UseGracefulShutdown()</c> on a Unix domain socket.</summary>
    public static Task<TestServer> StartUnixAsync(
        Func<ConnectionContext, Task> handler, Action<GracefulCloseOptions>? configure = null) =>
        StartAsync(
            new UnixDomainSocketEndPoint(Path.Combine(Path.GetTempPath(), $"graceful-{Guid.NewGuid():N}.sock")),
            (server, endpoint) => endpoint
                .UseGracefulShutdown(options => Configure(options, configure))
                .Use(server.ObserveResults)
                .Run(context => handler(context)));

    /// <summary>Starts a server with TLS. With both placements the result is that of the outer one.</summary>
    public static Task<TestServer> StartTlsAsync(
        TlsPlacement placement,
        Func<ConnectionContext, Task> handler,
        Action<GracefulCloseOptions>? configure = null,
        Action<HttpsConnectionAdapterOptions>? tls = null,
        Action<WebApplicationBuilder>? build = null) =>
        StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (server, endpoint) =>
            {
                if (placement is TlsPlacement.Outside or TlsPlacement.Both)
                {
                    endpoint.UseGracefulShutdown(options => Configure(options, configure)).Use(server.ObserveResults);
                }

                endpoint.UseHttps(TestCertificate.Server, options => tls?.Invoke(options));
                if (placement is TlsPlacement.Inside)
                {
                    endpoint.UseGracefulShutdown(options => Configure(options, configure)).Use(server.ObserveResults);
                }
                else if (placement is TlsPlacement.Both)
                {
                    endpoint.UseGracefulShutdown(options => Configure(options, configure));
                }

                endpoint.Run(context => handler(context));
            },
            build);

    /// <summary>
    /// Starts a server with any pipeline. Put <see cref="ObserveResults"/> inside of <c>UseGracefulShutdown()</c> to
    /// see the results.
    /// </summary>
    public static async Task<TestServer> StartAsync(
        EndPoint endPoint,
        Action<TestServer, ListenOptions> configure,
        Action<WebApplicationBuilder>? build = null,
        NetworkNamespace? network = null)
    {
        // The kernel's choice may be a port where a server before it was, to which somebody tries to come back: a capture
        // or a look at the kernel's table would take that connection for this server's.
        if (endPoint is IPEndPoint { Port: 0 } anyPort && network is null)
        {
            endPoint = new IPEndPoint(anyPort.Address, FreePort.Find());
        }

        var server = new TestServer();
        server._inner = await GracefulTestServer.StartEndpointAsync(
            (inner, endpoint) =>
            {
                server._inner = inner;
                configure(server, endpoint);
            },
            build,
            endPoint,
            network);
        return server;
    }

    /// <inheritdoc cref="GracefulTestServer.ObserveResults"/>
    public ConnectionDelegate ObserveResults(ConnectionDelegate next) => _inner.ObserveResults(next);

    /// <summary>
    /// Lets a close request cancel a read after a short silence, for everything that does not test how long it must be.
    /// </summary>
    public static void BecomeQuietSoon(GracefulCloseOptions options) =>
        (options.QuietTime, options.MessageGap) = (SoonQuiet, SoonQuiet);

    /// <inheritdoc cref="GracefulTestServer.NextResultAsync"/>
    public Task<CloseResult> NextResultAsync() => _inner.NextResultAsync();

    /// <inheritdoc cref="GracefulTestServer.ConnectAsync"/>
    public Task<ScriptedPeer> ConnectAsync(Action<Socket>? configure = null) => _inner.ConnectAsync(configure);

    /// <summary>
    /// Connects a peer, and waits until the drain knows of it: only an accepted connection can be drained.
    /// </summary>
    public async Task<ScriptedPeer> ConnectTrackedAsync(Action<Socket>? configure = null)
    {
        var peer = await ConnectAsync(configure);
        await Eventually.IsTrueAsync(() => Drain.GetConnections().Any(connection => peer.IsPeerOf(connection)));
        return peer;
    }

    /// <summary>Waits until the server has closed its sockets, and the kernel finishes on its own.</summary>
    public Task SocketsClosedAsync() => Eventually.IsTrueAsync(() =>
        KernelSocket.OnPort(Port).All(socket => socket is { State: KernelSocket.Listen } or { HasDescriptor: false }));

    /// <summary>Stops the host as SIGTERM would.</summary>
    public Task StopAsync() => StopWhilePatientAsync(CancellationToken.None);

    /// <summary>
    /// Stops the host, which loses its patience at <paramref name="end"/>, as it does by itself when its timeout is
    /// over.
    /// </summary>
    public Task StopWhilePatientAsync(CancellationToken end) => _inner.StopAsync(end);

    /// <summary>Stops the host as SIGTERM would.</summary>
    /// <returns>How the drain went.</returns>
    public async Task<DrainReport> StopAndReportAsync()
    {
        await StopAsync();
        return await DrainAsync(); // It happens once, and has happened.
    }

    /// <summary>Drains while the server goes on.</summary>
    public Task<DrainReport> DrainAsync() => Drain.DrainAsync(CancellationToken.None).WaitAsync(TestLimit);

    /// <summary>Drains a part while the server goes on.</summary>
    public Task<DrainReport> DrainAsync(Func<TrackedConnectionInfo, bool> filter) =>
        Drain.DrainAsync(filter).WaitAsync(TestLimit);

    /// <inheritdoc cref="GracefulTestServer.DisposeAsync"/>
    public ValueTask DisposeAsync() => _inner.DisposeAsync();

    private static void Configure(GracefulCloseOptions options, Action<GracefulCloseOptions>? configure)
    {
        BecomeQuietSoon(options);
        configure?.Invoke(options);
    }
}
