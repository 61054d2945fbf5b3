using System.Net;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>Plays one handler and one peer on stock Kestrel and with the library, at the same time.</summary>
internal static class Habit
{
    /// <summary>Plays on both.</summary>
    /// <param name="handler">What serves the connection.</param>
    /// <param name="script">What the peer does. The play is over when it returns.</param>
    /// <param name="setup">What is special.</param>
    public static async Task<HabitComparison> CompareAsync(
        Func<ConnectionContext, HabitPlay, Task> handler, Func<HabitPlay, Task> script, HabitSetup? setup = null)
    {
        setup ??= new HabitSetup();
        var results = await Task.WhenAll(
            PlayAsync(new HabitPlay(isStock: true), setup.StockHandler ?? handler, script, setup),
            PlayAsync(new HabitPlay(isStock: false), handler, script, setup));
        return new HabitComparison(results[0], results[1]);
    }

    /// <summary>Starts the server of a play.</summary>
    public static Task<TestServer> StartAsync(
        HabitPlay play, Func<ConnectionContext, HabitPlay, Task> handler, HabitSetup setup, CapturedLog log) =>
        TestServer.StartAsync(
            Listen(play, setup.Wire),
            (server, endpoint) =>
            {
                setup.Before?.Invoke(endpoint);
                if (!play.IsStock)
                {
                    UseLibrary(endpoint, setup);
                    endpoint.Use(server.ObserveResults);
                }

                setup.Behind?.Invoke(endpoint);
                endpoint.Run(connection => play.RunAsync(connection, handler));
            },
            builder => Build(play, builder, setup, log));

    /// <summary>Plays on one server.</summary>
    public static async Task<HabitResult> PlayAsync(
        HabitPlay play,
        Func<ConnectionContext, HabitPlay, Task> handler,
        Func<HabitPlay, Task> script,
        HabitSetup setup)
    {
        using var log = new CapturedLog();
        CloseResult? close;
        Exception? fault;
        await using (play.Server = await StartAsync(play, handler, setup, log))
        {
            await PlayAsync(play, script, setup);
            close = play.IsStock ? null : await play.Graceful!.Closed.InTimeAsync();
            await play.Stopping.InTimeAsync();
            fault = await play.Handled.InTimeAsync();
        }

        // Now that the server is gone, its log is whole.
        return new HabitResult
        {
            IsStock = play.IsStock,
            Executed = play.Executed,
            Received = play.Peer.Received,
            End = play.Peer.End,
            SentAll = play.Peer.SentAll,
            Fault = fault,
            IsReadCancelled = fault is OperationCanceledException cancelled
                && play.CloseRequested.IsCancellationRequested
                && cancelled.CancellationToken == play.CloseRequested,
            Close = close,
            Errors = [.. log.Entries.Where(static entry => entry.Level >= LogLevel.Error).Select(Describe)],
        };
    }

    private static async Task PlayAsync(HabitPlay play, Func<HabitPlay, Task> script, HabitSetup setup)
    {
        var endPoint = play.PassedEndPoint ?? play.Server.EndPoint;
        var peer = setup.Network is { } network
            ? network.ConnectHabit(endPoint, setup.Socket)
            : await HabitPeer.ConnectAsync(endPoint, setup.Socket, setup.Wire);
        await using (peer)
        {
            play.Peer = peer;
            if (setup.ReadsAtOnce)
            {
                peer.StartReading();
            }

            if (setup.Greet is { } greet)
            {
                await greet(peer).InTimeAsync();
            }

            await play.AcceptedAsync();
            await script(play);
        }
    }

    private static EndPoint Listen(HabitPlay play, HabitWire wire)
    {
        if (wire == HabitWire.Unix)
        {
            return new UnixDomainSocketEndPoint(Path.Combine(Path.GetTempPath(), $"graceful-{Guid.NewGuid():N}.sock"));
        }

        if (wire != HabitWire.Mptcp)
        {
            return new IPEndPoint(wire == HabitWire.IPv6 ? IPAddress.IPv6Loopback : IPAddress.Loopback, 0);
        }

        (var handle, play.PassedEndPoint) = MptcpSocket.Listen();
        return new FileHandleEndPoint(handle, FileHandleType.Auto); // As ListenHandle does.
    }

    private static string Describe(CapturedLog.Entry entry) =>
        $"{entry.Message} {entry.Exception?.GetType().Name}: {entry.Exception?.Message}";

    private static void UseLibrary(ListenOptions endpoint, HabitSetup setup) =>
        endpoint.UseGracefulShutdown(options =>
        {
            options.LingerIdleTimeout = 2 * TestServer.TestLimit; // A slow machine is no silent peer.
            setup.Options?.Invoke(options);
        });

    private static void Build(HabitPlay play, WebApplicationBuilder builder, HabitSetup setup, CapturedLog log)
    {
        builder.Logging.AddProvider(log).SetMinimumLevel(LogLevel.Debug);
        if (play.IsStock)
        {
            var patience = setup.StockPatience ?? setup.Patience;
            builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = patience);
        }
        else
        {
            // The drain's own limit is the one that ends, so the host's must be longer.
            builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = 2 * TestServer.TestLimit);
            builder.Services.AddGracefulShutdown(options => options.DrainTimeout = setup.Patience);
        }

        if (setup.Network is { } network)
        {
            builder.WebHost.UseSockets(sockets => sockets.CreateBoundListenSocket = endPoint =>
                network.Run(() => SocketTransportOptions.CreateDefaultBoundListenSocket(endPoint)));
        }

        setup.Build?.Invoke(builder);
    }
}
