using System.Net;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging.Abstractions;

namespace GracefulConnections.FunctionalTests.Outgoing;

/// <summary>On connections that Kestrel's own transport makes of a socket.</summary>
public sealed class KestrelsOutgoingConnectionTests : OutgoingConnectionTests
{
    private readonly SocketConnectionContextFactory _factory =
        new(new SocketConnectionFactoryOptions(), NullLogger.Instance);

    protected override async Task<ConnectionContext> ConnectAsync(EndPoint endPoint)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(endPoint, CancellationToken.None).AsTask().InTimeAsync();
        return _factory.Create(socket);
    }

    protected override void Dispose(bool isDisposing)
    {
        base.Dispose(isDisposing);
        _factory.Dispose();
    }
}
