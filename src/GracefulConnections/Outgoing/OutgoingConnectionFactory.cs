using System.Net;
using System.Net.Sockets;
using GracefulConnections.Closing;
using GracefulConnections.Draining;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Outgoing;

/// <summary>Makes connections over TCP and Unix domain sockets.</summary>
internal sealed class OutgoingConnectionFactory(
    IOptionsMonitor<OutgoingConnectionOptions> options, IServiceProvider services) : IConnectionFactory
{
    private const int KeepAliveQuestions = 3;

    private readonly LatestOptions<OutgoingConnectionOptions> _options =
        new(options, static _ => { }, CloseScope.CreateLogger(services));

    private readonly TimeProvider _time = services.GetService<TimeProvider>() ?? TimeProvider.System;

    /// <summary>Gets or sets how a name is resolved; for tests.</summary>
    internal Func<string, CancellationToken, Task<IPAddress[]>> Resolve { get; set; } = Dns.GetHostAddressesAsync;

    public async ValueTask<ConnectionContext> ConnectAsync(
        EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        var current = _options.Value;
        var scope = CloseScope.Get(services, null); // Before there is a socket, because it may throw.
        var drain = current.DrainWithServer ? services.GetRequiredService<DrainCoordinator>() : null;
        var race = new ConnectRace(target => CreateSocket(target, current), current.AttemptDelay, _time);
        using var timeout = new CancellationTokenSource(current.ConnectTimeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            var targets = await ResolveAsync(endpoint, current, either.Token).ConfigureAwait(false);
            var (socket, remote) = await race.ConnectAsync(targets, either.Token).ConfigureAwait(false);
            var connection = new OutgoingConnection(socket, remote, current, scope);
            if (drain is not null)
            {
                connection.Features.Set(drain);
            }

            return connection;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw Failure(SocketError.TimedOut, $"ConnectTimeout ({current.ConnectTimeout:c}) is over");
        }
        catch (SocketException exception)
        {
            throw Failure(exception.SocketErrorCode, exception.Message);
        }

        SocketException Failure(SocketError error, string why)
        {
            var story = race.Story;
            return new SocketException(
                (int)error,
                $"Cannot connect to {Spell(endpoint)}: "
                + (story.Length == 0 ? $"{why}; no address was tried." : $"{why}. Tried {story}."));
        }
    }

    private static string Spell(EndPoint endPoint) =>
        endPoint is DnsEndPoint name ? $"{name.Host}:{name.Port}" : endPoint.ToString() ?? endPoint.GetType().Name;

    private async Task<EndPoint[]> ResolveAsync(
        EndPoint endPoint, OutgoingConnectionOptions current, CancellationToken cancellationToken)
    {
        switch (endPoint)
        {
            case DnsEndPoint name:
                var found = await Resolve(name.Host, cancellationToken).WaitAsync(cancellationToken)
                    .ConfigureAwait(false);
                var family = current.LocalEndPoint?.AddressFamily ?? name.AddressFamily;
                var usable = found.Where(address =>
                    family == AddressFamily.Unspecified || address.AddressFamily == family).ToArray();
                return usable.Length > 0
                    ? [.. ConnectRace.Order(usable).Select(address => new IPEndPoint(address, name.Port))]
                    : throw new SocketException(
                        (int)SocketError.HostNotFound,
                        $"none of the name's addresses ({string.Join<IPAddress>(", ", found)}) is of the family "
                        + $"{family}");
            case IPEndPoint or UnixDomainSocketEndPoint:
                return [endPoint];
            default:
                throw new NotSupportedException(
                    $"{endPoint.GetType().Name} {endPoint} is no address that this factory can connect to. Use an "
                    + $"{nameof(IPEndPoint)}, a {nameof(DnsEndPoint)} or a {nameof(UnixDomainSocketEndPoint)}.");
        }
    }

    private static Socket CreateSocket(EndPoint endPoint, OutgoingConnectionOptions options)
    {
        var isTcp = endPoint is IPEndPoint;
        var socket = new Socket(
            endPoint.AddressFamily, SocketType.Stream, isTcp ? ProtocolType.Tcp : ProtocolType.Unspecified);
        try
        {
            if (endPoint is IPEndPoint { Address.IsIPv4MappedToIPv6: true })
            {
                // A peer of an endpoint for any address has such an address. Without this the network is unreachable.
                socket.DualMode = true;
            }

            Configure(socket, isTcp, options);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static void Configure(Socket socket, bool isTcp, OutgoingConnectionOptions options)
    {
        if (options.SendBufferSize is { } sendBufferSize)
        {
            socket.SendBufferSize = sendBufferSize;
        }

        if (options.ReceiveBufferSize is { } receiveBufferSize)
        {
            socket.ReceiveBufferSize = receiveBufferSize;
        }

        if (!isTcp)
        {
            return;
        }

        socket.NoDelay = options.NoDelay;
        if (options.KeepAlive is { } silence)
        {
            var seconds = (int)Math.Ceiling(silence.TotalSeconds);
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, seconds);
            socket.SetSocketOption(
                SocketOptionLevel.Tcp,
                SocketOptionName.TcpKeepAliveInterval,
                (seconds + KeepAliveQuestions - 1) / KeepAliveQuestions);
            socket.SetSocketOption(
                SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, KeepAliveQuestions);
        }

        if (options.LocalEndPoint is { } local)
        {
            socket.Bind(local);
        }
    }
}
