using System.Buffers;
using System.Collections.Concurrent;
using System.Net;
using GracefulConnections.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Benchmarks.Hostile;

/// <summary>A Kestrel whose endpoints differ in their options, and whose handlers do what their scripts say.</summary>
internal sealed class HostileServer : IAsyncDisposable
{
    private static readonly Action<GracefulCloseOptions>[] Kinds =
    [
        static _ => { },
        static options => options.LingerUntil = LingerUntil.OutputAcknowledged,
        static options => options.AllowHalfOpen = true,
        static options => options.AbortOnHandlerFault = true,
        static options =>
        {
            options.MaxLingerBytes = 1000;
            options.MaxLingeringConnections = 10;
        },
    ];

    private readonly ConcurrentDictionary<IPAddress, HostilePlay> _plays = new();
    private readonly List<ListenOptions> _endpoints = [];
    private readonly WebApplication _app;

    private HostileServer(ErrorCount errors)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders().AddProvider(errors).SetMinimumLevel(LogLevel.Error);
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>>(Memory); // Kestrel takes the last of them.
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            foreach (var kind in Kinds)
            {
                kestrel.Listen(IPAddress.Loopback, 0, endpoint => Configure(endpoint, kind));
            }
        });
        _app = builder.Build();
    }

    /// <summary>Gets how long a flush may make no progress, and a peer may be silent in its linger.</summary>
    public static TimeSpan StallTimeout { get; } = TimeSpan.FromMilliseconds(300);

    public static TimeSpan GoodbyeTimeout { get; } = TimeSpan.FromMilliseconds(100);

    public static int EndpointCount => Kinds.Length;

    /// <summary>Gets where the server's connections have their memory from.</summary>
    public PoisoningMemoryPoolFactory Memory { get; } = new();

    public static async Task<HostileServer> StartAsync(ErrorCount errors)
    {
        var server = new HostileServer(errors);
        await server._app.StartAsync();
        return server;
    }

    /// <summary>Gets where the peer of a play connects to.</summary>
    public IPEndPoint EndPointOf(HostilePlay play) => _endpoints[play.Script.Endpoint].IPEndPoint!;

    /// <summary>Plays the handler of <paramref name="play"/> for the connection from its address.</summary>
    public void Expect(HostilePlay play) => _plays[play.Address] = play;

    public void Forget(HostilePlay play) => _plays.TryRemove(play.Address, out _);

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private void Configure(ListenOptions endpoint, Action<GracefulCloseOptions> kind)
    {
        _endpoints.Add(endpoint);
        endpoint.UseGracefulShutdown(options =>
        {
            options.FlushStallTimeout = StallTimeout;
            options.LingerIdleTimeout = StallTimeout;
            options.CloseTimeout = 4 * StallTimeout;
            options.QuietTime = TimeSpan.FromMilliseconds(10);
            options.MessageGap = TimeSpan.FromMilliseconds(50);
            options.GoodbyeTimeout = GoodbyeTimeout;
            options.Goodbye = (connection, _, cancellationToken) =>
                HandlerSide.SayGoodbyeAsync(PlayOf(connection), connection, cancellationToken);
            kind(options);
        });
        endpoint.Run(connection => new HandlerSide(PlayOf(connection), connection).RunAsync());
    }

    private HostilePlay PlayOf(ConnectionContext connection) =>
        _plays[((IPEndPoint)connection.RemoteEndPoint!).Address];
}
