using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Frameworks.Tests.Support;

/// <summary>A server with a framework, with or without the library, and its stop while calls are in hand.</summary>
internal sealed class FrameworkServer : IAsyncDisposable
{
    private static readonly TimeSpan ShutdownTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan DrainTimeout = TimeSpan.FromSeconds(3);

    private readonly WebApplication _app;

    private FrameworkServer(WebApplication app) => _app = app;

    public Gate Gate { get; } = new();

    public int Port => new Uri(_app.Services.GetRequiredService<IServer>().Features
        .Get<IServerAddressesFeature>()!.Addresses.First()).Port;

    public IServiceProvider Services => _app.Services;

    public static async Task<FrameworkServer> StartAsync(
        Setup setup,
        Action<IServiceCollection> addServices,
        Action<WebApplication> map,
        HttpProtocols protocols = HttpProtocols.Http1,
        Action<ListenOptions>? serve = null,
        int port = 0)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.Configure<HostOptions>(static host => host.ShutdownTimeout = ShutdownTimeout);
        if (setup == Setup.Draining)
        {
            builder.Services.AddGracefulShutdown(static drain => drain.DrainTimeout = DrainTimeout);
        }

        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, endpoint =>
        {
            endpoint.Protocols = protocols;
            if (setup != Setup.Stock)
            {
                endpoint.UseGracefulShutdown();
            }

            serve?.Invoke(endpoint);
        }));

        FrameworkServer? server = null;
        builder.Services.AddSingleton(_ => server!.Gate);
        addServices(builder.Services);
        var app = builder.Build();
        server = new FrameworkServer(app);
        map(app);
        await app.StartAsync().WaitAsync(Waiting.Limit);
        return server;
    }

    /// <summary>Stops the server while a call of each client is in hand.</summary>
    /// <param name="calls">Begins the call of each client.</param>
    public async Task<StopFigures> StopUnderLoadAsync(IReadOnlyCollection<Func<Task>> calls)
    {
        Gate.Close(calls.Count);
        var running = calls.Select(static call => Task.Run(call)).ToList();
        await Gate.AllInHand.WaitAsync(Waiting.Limit);

        var port = Port;
        var clock = Stopwatch.GetTimestamp();
        var stopping = _app.StopAsync();
        await RefusesAsync(port).WaitAsync(Waiting.Limit);
        Gate.Open();
        await stopping.WaitAsync(Waiting.Limit);
        var seconds = Stopwatch.GetElapsedTime(clock).TotalSeconds;

        var failures = new List<Exception>();
        foreach (var call in running)
        {
            if (await Record.ExceptionAsync(() => call.WaitAsync(Waiting.Limit)) is { } failure)
            {
                failures.Add(failure);
            }
        }

        return new StopFigures(calls.Count, failures.Count, failures.Count(IsReset), seconds);
    }

    public async ValueTask DisposeAsync()
    {
        Gate.Open();
        await _app.DisposeAsync();
    }

    // A connect that is refused is the sign that the server has begun to ask its connections.
    private static async Task RefusesAsync(int port)
    {
        while (true)
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                await socket.ConnectAsync(IPAddress.Loopback, port);
            }
            catch (SocketException)
            {
                return;
            }
        }
    }

    private static bool IsReset(Exception exception) => exception switch
    {
        SocketException { SocketErrorCode: SocketError.ConnectionReset } => true,
        AggregateException several => several.InnerExceptions.Any(IsReset),
        { InnerException: { } inner } => IsReset(inner),
        _ => false,
    };
}
