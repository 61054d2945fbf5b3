using System.Net;
using System.Net.Sockets;
using GracefulConnections.Diagnostics;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Listening;

/// <summary>
/// Gives each endpoint the listening socket that was passed for it, or a new one, and lends it to Kestrel's own
/// transport as an open handle, which Kestrel neither closes nor shuts down.
/// </summary>
internal sealed class HandoverListenerFactory(
    ListeningSockets sockets,
    IOptions<ListenerHandoverOptions> options,
    IServiceProvider services,
    ILoggerFactory loggers,
    TimeProvider? time = null)
    : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    private static readonly FileHandleEndPoint AnyHandle = new(0, FileHandleType.Tcp);

    // How long the service manager may take to forget a socket, and how often to look.
    private static readonly TimeSpan ForgetLimit = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ForgetInterval = TimeSpan.FromMilliseconds(10);

    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly ILogger _logger = GuardedLogger.Around(loggers.CreateLogger(Log.Category));

    public bool CanBind(EndPoint endpoint) =>
        OperatingSystem.IsLinux()
        && endpoint is IPEndPoint or UnixDomainSocketEndPoint or FileHandleEndPoint
        && Find(endpoint) is not null;

    public async ValueTask<IConnectionListener> BindAsync(
        EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        var inner = Find(endpoint) ?? throw new InvalidOperationException(
            $"No transport of this host can listen on {endpoint}. Add one that can, before AddListenerHandover().");
        if (inner is not IConnectionListenerFactorySelector selector || !selector.CanBind(AnyHandle))
        {
            Log.TransportTakesNoSocket(_logger, $"{endpoint}", $"{inner.GetType()}");
            return await inner.BindAsync(endpoint, cancellationToken).ConfigureAwait(false);
        }

        var passed = endpoint is FileHandleEndPoint { FileHandle: var handle }
            ? sockets.TryTake(socket => socket.Descriptor.Value == (int)handle)
            : sockets.TryTake(
                socket => socket.Address == ListenerAddress.Of(endpoint) && !socket.HasLostItsFile);
        if (passed is null && endpoint is FileHandleEndPoint)
        {
            return await inner.BindAsync(endpoint, cancellationToken).ConfigureAwait(false); // The application's own.
        }

        if (endpoint is IPEndPoint { Port: 0 })
        {
            Log.PortNotFixed(_logger);
        }

        var socket = passed ?? await BindAnewAsync(endpoint, cancellationToken).ConfigureAwait(false);
        try
        {
            var borrowed = new FileHandleEndPoint((ulong)socket.Descriptor.Value, FileHandleType.Tcp);
            var listener = await inner.BindAsync(borrowed, cancellationToken).ConfigureAwait(false);
            var owner = new HandoverListener(
                sockets, socket, listener, wasPassed: passed is not null, _time);
            sockets.Add(owner);
            return owner;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Checks that Kestrel asks this factory first.</summary>
    /// <exception cref="InvalidOperationException">It does not.</exception>
    public void CheckIsFirst()
    {
        var anyAddress = new IPEndPoint(IPAddress.Loopback, 0);
        var first = services.GetServices<IConnectionListenerFactory>().LastOrDefault(
            factory => factory == this || CanBind(factory, anyAddress));
        if (first != this)
        {
            throw new InvalidOperationException(
                $"AddListenerHandover() was called before the transport {first?.GetType()} was added, so the server "
                + "does not ask it for listening sockets. Call it after UseKestrel() or ConfigureWebHostDefaults().");
        }
    }

    // The one that Kestrel would take without this factory: it asks the last one first.
    private IConnectionListenerFactory? Find(EndPoint endPoint) =>
        services.GetServices<IConnectionListenerFactory>().LastOrDefault(
            factory => factory != this && CanBind(factory, endPoint));

    // A reload of the configuration may close an endpoint and bind it anew in the same moment.
    private async Task<ListeningSocket> BindAnewAsync(EndPoint endPoint, CancellationToken cancellationToken)
    {
        var started = _time.GetTimestamp();
        while (true)
        {
            try
            {
                return Bind(endPoint);
            }
            catch (AddressInUseException) when (sockets.WasForgotten(ListenerAddress.Of(endPoint))
                && _time.GetElapsedTime(started) < ForgetLimit)
            {
                await Task.Delay(ForgetInterval, _time, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private ListeningSocket Bind(EndPoint endPoint)
    {
        try
        {
            return ListeningSocket.Bind(endPoint);
        }
        catch (AddressInUseException exception) when (HandoverPath.Of(options.Value) is { } path)
        {
            throw new AddressInUseException(
                $"{endPoint} is in use by a process that does not serve {path}, so it cannot be taken over. End that "
                + "process, or give it the same SocketPath.",
                exception);
        }
    }

    private static bool CanBind(IConnectionListenerFactory factory, EndPoint endPoint) =>
        (factory as IConnectionListenerFactorySelector)?.CanBind(endPoint) ?? true;
}
