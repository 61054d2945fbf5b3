using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Testing;

/// <summary>
/// A real Kestrel in the test's process, with one endpoint on a free port of the loopback. It tells how each connection
/// ended, and finds misuse of pooled memory.
/// </summary>
/// <remarks>Every wait ends after 60 s of real time by a <see cref="TimeoutException"/>.</remarks>
public sealed class GracefulTestServer : IAsyncDisposable
{
    private readonly Channel<CloseResult> _results = Channel.CreateUnbounded<CloseResult>();
    private WebApplication _app = null!;
    private ListenOptions _listening = null!;

    private GracefulTestServer()
    {
    }

    /// <summary>Gets where to connect to.</summary>
    public EndPoint EndPoint => _listening.EndPoint;

    /// <summary>Gets where the server's connections have their memory from, TLS included.</summary>
    public PoisoningMemoryPoolFactory Memory { get; } = new();

    /// <summary>Gets the host's services.</summary>
    public IServiceProvider Services => _app.Services;

    /// <summary>Starts a server that closes by <c>UseGracefulShutdown()</c>.</summary>
    /// <param name="handler">Serves each connection.</param>
    /// <param name="close">Changes how connections are closed.</param>
    /// <param name="build">
    /// Changes the host: adds services, logging, or a drain by <c>AddGracefulShutdown()</c>.
    /// </param>
    /// <returns>The server, which listens.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="handler"/> is <see langword="null"/>.</exception>
    /// <exception cref="Microsoft.Extensions.Options.OptionsValidationException">An option is out of range.</exception>
    public static Task<GracefulTestServer> StartAsync(
        Func<ConnectionContext, Task> handler,
        Action<GracefulCloseOptions>? close = null,
        Action<WebApplicationBuilder>? build = null)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return StartEndpointAsync(
            (server, endpoint) =>
                endpoint.UseGracefulShutdown(close).Use(server.ObserveResults).Run(context => handler(context)),
            build);
    }

    /// <summary>Starts a server with any pipeline, without the library for example, or with TLS.</summary>
    /// <param name="configure">
    /// Builds the pipeline. Put <see cref="ObserveResults"/> behind <c>UseGracefulShutdown()</c> to see the results.
    /// </param>
    /// <param name="build">Changes the host.</param>
    /// <param name="endPoint">
    /// Where to listen: an IP address and port, or a Unix domain socket. A free port of the loopback if
    /// <see langword="null"/>.
    /// </param>
    /// <param name="network">The network to listen in; the machine's own if <see langword="null"/>.</param>
    /// <returns>The server, which listens.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="configure"/> is <see langword="null"/>.</exception>
    /// <exception cref="IOException">The address is in use.</exception>
    public static async Task<GracefulTestServer> StartEndpointAsync(
        Action<GracefulTestServer, ListenOptions> configure,
        Action<WebApplicationBuilder>? build = null,
        EndPoint? endPoint = null,
        NetworkNamespace? network = null)
    {
        ArgumentNullException.ThrowIfNull(configure);
        var server = new GracefulTestServer();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        if (network is not null)
        {
            builder.WebHost.UseSockets(sockets => sockets.CreateBoundListenSocket = address =>
                network.Run(() => SocketTransportOptions.CreateDefaultBoundListenSocket(address)));
        }

        build?.Invoke(builder);
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>>(server.Memory); // Kestrel takes the last of them.
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            void Configure(ListenOptions endpoint)
            {
                server._listening = endpoint;
                configure(server, endpoint);
            }

            if (endPoint is UnixDomainSocketEndPoint unix)
            {
                kestrel.ListenUnixSocket(unix.ToString()!, Configure);
            }
            else
            {
                kestrel.Listen(endPoint ?? new IPEndPoint(IPAddress.Loopback, 0), Configure);
            }
        });
        server._app = builder.Build();
        try
        {
            await server._app.StartAsync().WithinLimit();
        }
        catch
        {
            await server._app.DisposeAsync();
            throw;
        }

        return server;
    }

    /// <summary>A middleware that collects how each connection ended.</summary>
    /// <param name="next">The rest of the pipeline.</param>
    /// <returns>The middleware.</returns>
    public ConnectionDelegate ObserveResults(ConnectionDelegate next) => connection =>
    {
        _ = CollectAsync(connection.Features.Get<IGracefulCloseFeature>()!.Closed);
        return next(connection);

        async Task CollectAsync(Task<CloseResult> closed) => _results.Writer.TryWrite(await closed);
    };

    /// <summary>Waits for the next connection to end.</summary>
    /// <returns>How it ended. Each connection's result is returned once.</returns>
    public async Task<CloseResult> NextResultAsync()
    {
        try
        {
            using var limit = new CancellationTokenSource(Waiting.Longest);
            return await _results.Reader.ReadAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"No connection ended within {Waiting.Longest}.");
        }
    }

    /// <summary>Connects a peer.</summary>
    /// <param name="configure">Changes the socket before it connects, its buffers for example.</param>
    /// <returns>The peer.</returns>
    public Task<ScriptedPeer> ConnectAsync(Action<Socket>? configure = null) =>
        ScriptedPeer.ConnectAsync(EndPoint, configure);

    /// <summary>Stops the host as SIGTERM would.</summary>
    /// <param name="impatience">
    /// When the host loses its patience. It does so by itself too, after its <c>ShutdownTimeout</c>.
    /// </param>
    /// <returns>A task that completes when the host has stopped.</returns>
    public Task StopAsync(CancellationToken impatience = default) =>
        _app.StopAsync(impatience).WithinLimit();

    /// <summary>
    /// Disposes the server, and then checks its memory, so that what late code returns and writes meanwhile counts too.
    /// </summary>
    /// <exception cref="InvalidOperationException">
    /// Pooled memory was used after its return, or returned twice.
    /// </exception>
    public async ValueTask DisposeAsync()
    {
        // On a thread of its own: Kestrel's disposal blocks the one that calls it, and a connection that hangs must
        // fail a test and not hang it.
        await Task.Run(() => _app.DisposeAsync().AsTask()).WithinLimit();
        Memory.ThrowIfViolated();
    }
}
