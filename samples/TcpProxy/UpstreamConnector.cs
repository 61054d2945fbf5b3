using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace TcpProxy;

/// <summary>Connects to the upstream, by the same transport that Kestrel listens with.</summary>
internal sealed class UpstreamConnector(Settings settings, TimeProvider time, ILogger<UpstreamConnector> logger) : IDisposable
{
    private readonly SocketConnectionContextFactory _factory = new(new SocketConnectionFactoryOptions { WaitForDataBeforeAllocatingBuffer = false }, logger); // As downstream.

    /// <summary>Makes a connection, which the caller disposes.</summary>
    /// <exception cref="SocketException">The upstream cannot be reached.</exception>
    /// <exception cref="TimeoutException">It did not answer within <c>Proxy:ConnectTimeout</c>.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public async Task<ConnectionContext> ConnectAsync(CancellationToken cancellationToken)
    {
        var socket = settings.Connect is IPEndPoint address
            ? new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp)
            : new Socket(SocketType.Stream, ProtocolType.Tcp); // For both families: whatever the name stands for.
        try
        {
            socket.NoDelay = true;
            using var timeout = new CancellationTokenSource(settings.ConnectTimeout, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
            try
            {
                await socket.ConnectAsync(settings.Connect, either.Token);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new TimeoutException($"No answer within {settings.ConnectTimeout}.");
            }

            return _factory.Create(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public void Dispose() => _factory.Dispose();
}
