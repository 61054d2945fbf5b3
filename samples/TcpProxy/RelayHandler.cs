using System.Net.Sockets;
using GracefulConnections;
using Microsoft.AspNetCore.Connections;

namespace TcpProxy;

/// <summary>
/// Serves one peer: connects to the upstream and relays until both directions have ended. The upstream's connection lives within the peer's, so whoever waits for this one,
/// a drain for example, waits for both.
/// </summary>
internal sealed partial class RelayHandler(Settings settings, UpstreamConnector upstreams, Counters counters, IServiceProvider services, ILogger<RelayHandler> logger) : ConnectionHandler
{
    // One instance for all connections: its limits count for those that share it.
    private readonly GracefulCloseOptions _upstreamOptions = CreateOptions(settings.Upstream);

    public override async Task OnConnectedAsync(ConnectionContext connection)
    {
        counters.Opened();
        try
        {
            await using var upstream = await TryConnectAsync(connection);
            if (upstream is null)
            {
                return;
            }

            var result = await upstream.RunGracefullyAsync(_ => new Relay(connection, upstream, counters).RunAsync(), _upstreamOptions, services);
            Log.Relayed(logger, connection.ConnectionId, upstream.ConnectionId, result.Outcome);
        }
        finally
        {
            counters.Closed();
        }
    }

    private static GracefulCloseOptions CreateOptions(LegSettings leg)
    {
        var options = new GracefulCloseOptions();
        leg.Apply(options);
        options.CancelReadOnCloseRequest = false; // A limit of the upstream's is passed on to the peer's connection, which ends both.
        return options;
    }

    private async Task<ConnectionContext?> TryConnectAsync(ConnectionContext downstream)
    {
        try
        {
            return await upstreams.ConnectAsync(downstream.ConnectionClosed);
        }
        catch (Exception exception) when (exception is SocketException or TimeoutException)
        {
            // Reset, not FIN: to the peer an end would look like an empty reply.
            Log.ConnectFailed(logger, downstream.ConnectionId, downstream.RemoteEndPoint, settings.Connect, exception.Message);
            counters.ConnectFailed();
            downstream.Abort(new ConnectionAbortedException("The upstream cannot be reached."));
        }
        catch (OperationCanceledException)
        {
            // The peer has gone, and nobody is left to relay for.
        }

        return null;
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, @"Connection id ""{ConnectionId}"" of {Peer} is reset: cannot connect to {Upstream}. {Error}", EventName = nameof(ConnectFailed))]
        public static partial void ConnectFailed(ILogger logger, string connectionId, System.Net.EndPoint? peer, System.Net.EndPoint upstream, string error);

        [LoggerMessage(2, LogLevel.Debug, @"Connection id ""{ConnectionId}"" was relayed; upstream id ""{UpstreamId}"" ended {Outcome}.", EventName = nameof(Relayed))]
        public static partial void Relayed(ILogger logger, string connectionId, string upstreamId, CloseOutcome outcome);
    }
}
