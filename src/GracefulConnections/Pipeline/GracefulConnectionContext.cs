using System.IO.Pipelines;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace GracefulConnections.Pipeline;

/// <summary>
/// The connection as everything behind the middleware sees it. It is the server's own in all but two ways: a handler
/// that disposes it ends it as one that returns, and the server's own close by FIN, <c>Abort(null)</c>, is told from an
/// abort.
/// </summary>
internal sealed class GracefulConnectionContext(ConnectionContext inner, GracefulConnection owner) : ConnectionContext
{
    public override string ConnectionId
    {
        get => inner.ConnectionId;
        set => inner.ConnectionId = value;
    }

    public override IFeatureCollection Features => inner.Features;

    public override IDictionary<object, object?> Items
    {
        get => inner.Items;
        set => inner.Items = value;
    }

    public override IDuplexPipe Transport
    {
        get => inner.Transport;
        set => inner.Transport = value;
    }

    public override CancellationToken ConnectionClosed
    {
        get => inner.ConnectionClosed;
        set => inner.ConnectionClosed = value;
    }

    public override EndPoint? LocalEndPoint
    {
        get => inner.LocalEndPoint;
        set => inner.LocalEndPoint = value;
    }

    public override EndPoint? RemoteEndPoint
    {
        get => inner.RemoteEndPoint;
        set => inner.RemoteEndPoint = value;
    }

    public override void Abort() => inner.Abort();

    public override void Abort(ConnectionAbortedException abortReason)
    {
        if (abortReason is null)
        {
            owner.OnClosingByServer();
        }

        inner.Abort(abortReason!);
    }

    public override ValueTask DisposeAsync()
    {
        owner.DisposeByHandler();
        return base.DisposeAsync();
    }

    public override string ToString() => inner.ToString() ?? string.Empty;
}
