using System.Net;
using System.Net.Sockets;
using System.Text;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Listening.Support;

/// <summary>
/// A host with a handover, as a process would have one. It answers each byte by its name, "w" only once the test
/// lets it, and "q" with the end of the connection. Several of them hand over to each other inside of the test's process.
/// </summary>
internal sealed class HandoverHost : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly TaskCompletionSource _work = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task? _stopped;

    private HandoverHost(char name, string path, Action<HandoverHost, KestrelServerOptions> listen, Action<ListenerHandoverOptions>? configure, Action<WebApplicationBuilder>? build)
    {
        Name = name;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders().AddProvider(Log).SetMinimumLevel(LogLevel.Debug);
        builder.WebHost.ConfigureKestrel(kestrel => listen(this, kestrel));
        builder.Services.AddListenerHandover(options =>
        {
            options.SocketPath = path;
            configure?.Invoke(options);
        });
        builder.Services.Configure<GracefulCloseOptions>(static options => options.LingerIdleTimeout = 2 * TestServer.TestLimit); // A slow machine is no silent peer.
        builder.Services.Configure<ServerDrainOptions>(static options => options.LingerIdleTimeout = 2 * TestServer.TestLimit);
        build?.Invoke(builder);
        _app = builder.Build();
    }

    /// <summary>Gets what it answers.</summary>
    public char Name { get; }

    public CapturedLog Log { get; } = new();

    public IServiceProvider Services => _app.Services;

    /// <summary>Gets the task that ends when the host has stopped, for whatever reason.</summary>
    public Task Stopped => _stopped!.InTimeAsync();

    /// <summary>Starts a host with one endpoint on the loopback address.</summary>
    public static Task<HandoverHost> StartAsync(char name, string path, int port, Action<ListenerHandoverOptions>? configure = null, Action<WebApplicationBuilder>? build = null) =>
        StartAsync(name, path, (host, kestrel) => kestrel.Listen(IPAddress.Loopback, port, host.Serve), configure, build);

    /// <summary>Starts a host with any endpoints.</summary>
    public static async Task<HandoverHost> StartAsync(
        char name, string path, Action<HandoverHost, KestrelServerOptions> listen, Action<ListenerHandoverOptions>? configure = null, Action<WebApplicationBuilder>? build = null)
    {
        var host = new HandoverHost(name, path, listen, configure, build);
        try
        {
            await host._app.StartAsync().InTimeAsync();
        }
        catch
        {
            await host._app.DisposeAsync();
            throw;
        }

        host._stopped = host._app.WaitForShutdownAsync();
        return host;
    }

    /// <summary>Connects and asks who serves.</summary>
    public static Task<char> WhoServesAsync(int port) => WhoServesAsync(new IPEndPoint(IPAddress.Loopback, port));

    /// <inheritdoc cref="WhoServesAsync(int)"/>
    public static async Task<char> WhoServesAsync(EndPoint endPoint)
    {
        await using var peer = await ScriptedPeer.ConnectAsync(endPoint);
        return await AskAsync(peer);
    }

    /// <summary>Asks who serves a connection.</summary>
    public static async Task<char> AskAsync(ScriptedPeer peer)
    {
        await peer.SendAsync("?"u8.ToArray());
        return (char)(await peer.ReadExactlyAsync(1))[0];
    }

    /// <summary>What an endpoint does.</summary>
    public void Serve(ListenOptions endpoint) => endpoint.UseGracefulShutdown().Run(ServeAsync);

    /// <summary>Lets those go on that were sent "w".</summary>
    public void EndWork() => _work.TrySetResult();

    public void Stop() => _app.Lifetime.StopApplication();

    /// <summary>Waits until it has logged an event.</summary>
    /// <returns>The event's message.</returns>
    public async Task<string> LoggedAsync(int eventId)
    {
        await Eventually.IsTrueAsync(() => Messages(eventId).Length > 0, $"{Name} logs event {eventId}");
        return Messages(eventId)[0];
    }

    public string[] Messages(int eventId) =>
        [.. Log.Entries.Where(entry => entry.Category == "GracefulConnections" && entry.EventId == eventId).Select(entry => entry.Message)];

    /// <summary>Disposes it as a program that forgets to stop it.</summary>
    public ValueTask DisposeWithoutStopAsync() => _app.DisposeAsync();

    public async ValueTask DisposeAsync()
    {
        EndWork();
        Stop();
        await Stopped;
        await _app.DisposeAsync();
    }

    private async Task ServeAsync(ConnectionContext connection)
    {
        var answer = Encoding.ASCII.GetBytes([Name]);
        while (await connection.Transport.Input.ReadAsync() is { IsCompleted: false } read)
        {
            var request = read.Buffer.FirstSpan[0];
            connection.Transport.Input.AdvanceTo(read.Buffer.End);
            if (request == (byte)'w')
            {
                await _work.Task;
            }

            await connection.Transport.Output.WriteAsync(answer);
            if (request == (byte)'q')
            {
                return;
            }
        }
    }
}
