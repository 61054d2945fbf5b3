using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace GracefulConnections.Testing;

/// <summary>
/// A host whose one endpoint has connections in memory: a handler with <c>UseGracefulShutdown()</c>, and a drain by
/// <c>AddGracefulShutdown()</c>, all of it on one clock.
/// </summary>
/// <remarks>
/// The drain runs handlers on the thread pool, so wait for what a peer receives
/// (<see cref="InMemoryPeer.ReceiveUntilAsync"/>) and not for the handler.
/// </remarks>
public sealed class InMemoryServer : IAsyncDisposable
{
    private readonly IHost _host;
    private readonly ConnectionDelegate _pipeline;
    private readonly InMemoryConnectionOptions _options;

    private InMemoryServer(IHost host, ConnectionDelegate pipeline, InMemoryConnectionOptions options) =>
        (_host, _pipeline, _options) = (host, pipeline, options);

    /// <summary>Gets the host's services.</summary>
    public IServiceProvider Services => _host.Services;

    /// <summary>Gets what drains the server.</summary>
    public IDrainCoordinator Drain => Services.GetRequiredService<IDrainCoordinator>();

    /// <summary>Starts a server.</summary>
    /// <param name="handler">Serves each connection.</param>
    /// <param name="time">The server's clock; the system's if <see langword="null"/>.</param>
    /// <param name="close">Changes how connections are closed.</param>
    /// <param name="services">Adds services, and changes <see cref="ServerDrainOptions"/>.</param>
    /// <param name="connections">What connections are like. Their clock is always the server's.</param>
    /// <returns>The server, which has started.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="handler"/> is <see langword="null"/>.</exception>
    /// <exception cref="Microsoft.Extensions.Options.OptionsValidationException">An option is out of range.</exception>
    public static Task<InMemoryServer> StartAsync(
        Func<ConnectionContext, Task> handler,
        TimeProvider? time = null,
        Action<GracefulCloseOptions>? close = null,
        Action<IServiceCollection>? services = null,
        InMemoryConnectionOptions? connections = null)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return StartCoreAsync(_ => handler, time, close, services, connections);
    }

    /// <summary>Starts a server whose handler is made of its services.</summary>
    /// <typeparam name="THandler">The handler; a singleton, as on Kestrel.</typeparam>
    /// <inheritdoc cref="StartAsync"/>
    public static Task<InMemoryServer> StartAsync<THandler>(
        TimeProvider? time = null,
        Action<GracefulCloseOptions>? close = null,
        Action<IServiceCollection>? services = null,
        InMemoryConnectionOptions? connections = null)
        where THandler : ConnectionHandler =>
        StartCoreAsync(
            static provider => ActivatorUtilities.GetServiceOrCreateInstance<THandler>(provider).OnConnectedAsync,
            time,
            close,
            services,
            connections);

    /// <summary>Connects a peer. The handler begins on another thread.</summary>
    /// <returns>The connection, whose other end is <see cref="InMemoryConnection.Peer"/>.</returns>
    public InMemoryConnection Connect()
    {
        var connection = new InMemoryConnection(_options);
        connection.RunAsync(_pipeline);
        return connection;
    }

    /// <summary>Stops the host as SIGTERM would: the server drains.</summary>
    /// <returns>A task that completes when the host has stopped.</returns>
    public Task StopAsync() => _host.StopAsync(CancellationToken.None);

    /// <summary>Stops the host if it has not stopped, and disposes it.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Drain.ConnectionCount > 0)
        {
            foreach (var connection in Drain.GetConnections())
            {
                Drain.Abort(connection.ConnectionId); // The test is over, and virtual time stands still.
            }
        }

        await StopAsync().WithinLimit();
        _host.Dispose();
    }

    private static async Task<InMemoryServer> StartCoreAsync(
        Func<IServiceProvider, Func<ConnectionContext, Task>> handler,
        TimeProvider? time,
        Action<GracefulCloseOptions>? close,
        Action<IServiceCollection>? services,
        InMemoryConnectionOptions? connections)
    {
        var builder = new HostApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Services.AddSingleton(time ??= TimeProvider.System);
        builder.Services.AddGracefulShutdown();
        builder.Services.Replace(ServiceDescriptor.Singleton<IHostLifetime, NoLifetime>());
        services?.Invoke(builder.Services);
        var host = builder.Build();
        try
        {
            var endpoint = new ConnectionBuilder(host.Services);
            endpoint.UseGracefulShutdown(close);
            var serve = handler(host.Services);
            endpoint.Run(connection => serve(connection));
            await host.StartAsync();
            var options = (connections ?? new InMemoryConnectionOptions()) with { TimeProvider = time };
            return new InMemoryServer(host, endpoint.Build(), options);
        }
        catch
        {
            host.Dispose();
            throw;
        }
    }

    // The console's own would stop this host at Ctrl+C, and not the tests.
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
