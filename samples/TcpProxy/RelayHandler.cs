using System.Net;
using System.Net.Sockets;
using GracefulConnections;
using Microsoft.AspNetCore.Connections;

namespace TcpProxy;

/// <summary>
/// Serves one peer: connects to an upstream and relays until both directions have ended. The upstream's connection lives
/// within the peer's, so whoever waits for this one, a drain for example, waits for both.
/// </summary>
internal sealed partial class RelayHandler(
    Settings settings, IConnectionFactory upstreams, RelayCounters counters, IServiceProvider services, ILogger<RelayHandler> logger)
    : ConnectionHandler
{
    private readonly RelayOptions _relayOptions = new() { Counters = counters };
    private uint _next;
    private long _served;

    public override async Task OnConnectedAsync(ConnectionContext connection)
    {
        try
        {
            if (Interlocked.Increment(ref _served) > settings.MaxConnections && settings.MaxConnections > 0)
            {
                Full(logger, connection.ConnectionId, connection.RemoteEndPoint, settings.MaxConnections);
                connection.Abort(new ConnectionAbortedException("There are as many connections as may be."));
                return;
            }

            await using var made = await ConnectAsync(connection);
            if (made is null)
            {
                return;
            }

            var relayed = default(RelayResult);
            var result = await made.RunGracefullyAsync(
                async (upstream, closeRequested) =>
                {
                    ProxyHeader.Write(settings.ProxyHeader, connection, upstream.Transport.Output);
                    relayed = await connection.RelayAsync(upstream, _relayOptions, closeRequested);
                },
                settings.Upstream, services);
            Relayed(logger, connection.ConnectionId, made.ConnectionId, result.Outcome, relayed);
        }
        finally
        {
            Interlocked.Decrement(ref _served);
        }
    }

    // Each peer begins with the next upstream, and goes on to the others where it cannot be reached.
    private async Task<ConnectionContext?> ConnectAsync(ConnectionContext peer)
    {
        var first = Interlocked.Increment(ref _next);
        var failures = new List<string>();
        for (var i = 0u; i < settings.Connect.Length; i++)
        {
            try
            {
                return await upstreams.ConnectAsync(settings.Connect[(first + i) % settings.Connect.Length], peer.ConnectionClosed);
            }
            catch (SocketException exception)
            {
                failures.Add(exception.Message);
                ConnectFailed(logger, peer.ConnectionId, exception.Message);
            }
            catch (OperationCanceledException)
            {
                return null; // The peer has gone, and nobody is left to relay for.
            }
        }

        // Reset, not FIN: to the peer an end would look like an empty reply.
        Unreachable(logger, peer.ConnectionId, peer.RemoteEndPoint, string.Join(' ', failures));
        peer.Abort(new ConnectionAbortedException("The upstream cannot be reached."));
        return null;
    }

    [LoggerMessage(1, LogLevel.Warning, @"Connection id ""{ConnectionId}"" of {Peer} is reset: no upstream can be reached. {Errors}")]
    private static partial void Unreachable(ILogger logger, string connectionId, EndPoint? peer, string errors);

    [LoggerMessage(2, LogLevel.Debug, @"Connection id ""{ConnectionId}"" was relayed; upstream id ""{UpstreamId}"" ended {Outcome}. {Result}")]
    private static partial void Relayed(ILogger logger, string connectionId, string upstreamId, CloseOutcome outcome, RelayResult result);

    [LoggerMessage(3, LogLevel.Debug, @"Connection id ""{ConnectionId}"" tries the next upstream. {Error}")]
    private static partial void ConnectFailed(ILogger logger, string connectionId, string error);

    [LoggerMessage(4, LogLevel.Warning, @"Connection id ""{ConnectionId}"" of {Peer} is reset: {MaxConnections} others are served, which is Proxy:MaxConnections.")]
    private static partial void Full(ILogger logger, string connectionId, EndPoint? peer, long maxConnections);
}
