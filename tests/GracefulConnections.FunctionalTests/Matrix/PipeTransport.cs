using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>A transport of pipes for a real Kestrel.</summary>
internal sealed class PipeTransport : IConnectionListenerFactory, IConnectionListenerFactorySelector, IConnectionListener
{
    private readonly Channel<ConnectionContext> _connections = Channel.CreateUnbounded<ConnectionContext>();

    public EndPoint EndPoint { get; } = new PipeEndPoint();

    public PipeConnection Connect()
    {
        var connection = new PipeConnection();
        Connect(connection);
        return connection;
    }

    public void Connect(ConnectionContext connection) => Assert.True(_connections.Writer.TryWrite(connection));

    public bool CanBind(EndPoint endpoint) => endpoint is PipeEndPoint;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) => new(this);

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default) =>
        await _connections.Reader.WaitToReadAsync(cancellationToken) && _connections.Reader.TryRead(out var connection) ? connection : null;

    public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        _connections.Writer.TryComplete();
        return default;
    }

    public ValueTask DisposeAsync() => UnbindAsync();

    private sealed class PipeEndPoint : EndPoint;
}
