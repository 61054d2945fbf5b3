using System.Buffers;
using System.Net.Sockets;
using GracefulConnections;
using Microsoft.AspNetCore.Connections;

namespace TcpProxy;

/// <summary>
/// Serves one peer: connects to an upstream and relays until both directions have ended. The upstream's connection lives
/// within the peer's, so whoever waits for this one, a drain for example, waits for both.
/// </summary>
internal sealed partial class RelayHandler(
    Settings settings,
    IConnectionFactory upstreams,
    RelayCounters counters,
    IServiceProvider services,
    ILogger<RelayHandler> logger) : ConnectionHandler
{
    // One instance of each for all connections: limits count for those that share it.
    private readonly GracefulCloseOptions _upstreamOptions = CreateOptions(settings.Upstream);
    private readonly RelayOptions _relayOptions = new() { Counters = counters };
    private uint _next;
    private long _served;

    public override async Task OnConnectedAsync(ConnectionContext connection)
    {
        try
        {
            if (Interlocked.Increment(ref _served) <= (settings.MaxConnections ?? long.MaxValue))
            {
                await ServeAsync(connection);
                return;
            }

            Log.Full(logger, connection.ConnectionId, connection.RemoteEndPoint, settings.MaxConnections);
            connection.Abort(new ConnectionAbortedException("There are as many connections as may be."));
        }
        finally
        {
            Interlocked.Decrement(ref _served);
        }
    }

    private async Task ServeAsync(ConnectionContext connection)
    {
        await using var upstream = await TryConnectAsync(connection);
        if (upstream is null)
        {
            return;
        }

        var relayed = default(RelayResult);
        var result = await upstream.RunGracefullyAsync(
            async (upstream, closeRequested) =>
            {
                ProxyHeader.Write(settings.ProxyHeader, connection, upstream.Transport.Output);
                relayed = await connection.RelayAsync(upstream, _relayOptions, closeRequested);
            },
            _upstreamOptions,
            services);
        Log.Relayed(logger, connection.ConnectionId, upstream.ConnectionId, result.Outcome, relayed);
    }

    private static GracefulCloseOptions CreateOptions(LegSettings leg)
    {
        var options = new GracefulCloseOptions();
        leg.Apply(options);
        options.CancelReadOnCloseRequest = false; // The relay passes a limit of the upstream's on to the peer's connection.
        return options;
    }

    // Each peer begins with the next upstream, and goes on to the others where it cannot be reached.
    private async Task<ConnectionContext?> TryConnectAsync(ConnectionContext peer)
    {
        var first = Interlocked.Increment(ref _next);
        var failures = new List<string>();
        for (var i = 0u; i < settings.Connect.Length; i++)
        {
            var target = settings.Connect[(first + i) % settings.Connect.Length];
            try
            {
                return await upstreams.ConnectAsync(target, peer.ConnectionClosed);
            }
            catch (SocketException exception)
            {
                failures.Add(exception.Message);
                Log.ConnectFailed(logger, peer.ConnectionId, exception.Message);
            }
            catch (OperationCanceledException)
            {
                return null; // The peer has gone, and nobody is left to relay for.
            }
        }

        // Reset, not FIN: to the peer an end would look like an empty reply.
        Log.Unreachable(logger, peer.ConnectionId, peer.RemoteEndPoint, string.Join(' ', failures));
        peer.Abort(new ConnectionAbortedException("The upstream cannot be reached."));
        return null;
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, @"Connection id ""{ConnectionId}"" of {Peer} is reset: no upstream can be reached. {Errors}", EventName = nameof(Unreachable))]
        public static partial void Unreachable(ILogger logger, string connectionId, System.Net.EndPoint? peer, string errors);

        [LoggerMessage(2, LogLevel.Debug, @"Connection id ""{ConnectionId}"" was relayed; upstream id ""{UpstreamId}"" ended {Outcome}. {Result}", EventName = nameof(Relayed))]
        public static partial void Relayed(ILogger logger, string connectionId, string upstreamId, CloseOutcome outcome, RelayResult result);

        [LoggerMessage(4, LogLevel.Warning, @"Connection id ""{ConnectionId}"" of {Peer} is reset: {MaxConnections} others are served, which is Proxy:MaxConnections.", EventName = nameof(Full))]
        public static partial void Full(ILogger logger, string connectionId, System.Net.EndPoint? peer, long? maxConnections);

        [LoggerMessage(3, LogLevel.Debug, @"Connection id ""{ConnectionId}"" tries the next upstream. {Error}", EventName = nameof(ConnectFailed))]
        public static partial void ConnectFailed(ILogger logger, string connectionId, string error);
    }
}
