using System.IO.Pipelines;
using System.Net;
using GracefulConnections.Closing;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

namespace GracefulConnections.Pipeline;

/// <content>
/// The connection as everything behind the middleware sees it: the server's own in all but two ways, which are below.
/// </content>
internal sealed partial class GracefulConnection
{
    public override string ConnectionId
    {
        get => _connection.ConnectionId;
        set => _connection.ConnectionId = value;
    }

    public override IFeatureCollection Features => _connection.Features;

    public override IDictionary<object, object?> Items
    {
        get => _connection.Items;
        set => _connection.Items = value;
    }

    public override IDuplexPipe Transport
    {
        get => _connection.Transport;
        set => _connection.Transport = value;
    }

    public override CancellationToken ConnectionClosed
    {
        get => _rare is { HalfOpen: not null } or { IsClosedTokenSet: true }
            ? _connection.ConnectionClosed
            : ClosedToken.Token;
        set
        {
            Rare.IsClosedTokenSet = true;
            _connection.ConnectionClosed = value;
        }
    }

    public override EndPoint? LocalEndPoint
    {
        get => _connection.LocalEndPoint;
        set => _connection.LocalEndPoint = value;
    }

    public override EndPoint? RemoteEndPoint
    {
        get => _connection.RemoteEndPoint;
        set => _connection.RemoteEndPoint = value;
    }

    CancellationToken IConnectionLifetimeFeature.ConnectionClosed
    {
        get => ConnectionClosed;
        set => ConnectionClosed = value;
    }

    private ClosedToken ClosedToken
    {
        get
        {
            if (Rare.Closed is null)
            {
                var token = new ClosedToken(Scope, ConnectionId, _connection.ConnectionClosed);
                if (Interlocked.CompareExchange(ref Rare.Closed, token, null) is null)
                {
                    Closer.OnOver(token.Signal);
                }
            }

            return Rare.Closed;
        }
    }

    // Not by the connection's own abort, which may be by this feature.
    void IConnectionLifetimeFeature.Abort()
    {
        if (!TryLeaveToKernel())
        {
            Closer.ReleaseSocket();
            _originalLifetime!.Abort();
        }
    }

    public override void Abort()
    {
        if (!TryLeaveToKernel())
        {
            Closer.ReleaseSocket();
            _connection.Abort();
        }
    }

    // Abort(null) is the server's own close by FIN, and no abort.
    public override void Abort(ConnectionAbortedException abortReason)
    {
        if (abortReason is null)
        {
            CloseByServer();
        }
        else if (!TryLeaveToKernel())
        {
            Closer.ReleaseSocket();
            _connection.Abort(abortReason);
        }
    }

    /// <summary>Ends the connection with RST, also behind the handler's own FIN.</summary>
    public void Reset(ConnectionAbortedException reason)
    {
        Closer.ReleaseSocket();
        _connection.Abort(reason);
    }

    private void CloseByServer(bool isAbort = false)
    {
        Closer.OnClosingByServer(isAbort);
        _connection.Abort(null!);
    }

    // The server closes its socket once the handler's FIN is in the kernel: an abort does nothing any more, and the
    // kernel delivers on. Frameworks complete both pipes and then abort, and RST would take back what the peer has not
    // read. So this closes the socket as well. Only a server has such an end, and only without TLS.
    private bool TryLeaveToKernel()
    {
        if (State != CloseState.HalfClosed || Output.HasUnsent || _isInsideTls || _connection is ISocketOwner
            || Output is not SendLoop)
        {
            return false;
        }

        CloseByServer(isAbort: true);
        return true;
    }

    // A handler that disposes its connection ends it as one that returns. Any thread may do so, also when the handler
    // has returned or at the same moment, and more than once.
    public override ValueTask DisposeAsync()
    {
        var disposal = Disposal; // Before the close begins, because whoever comes second waits for it.
        if (TryBeginClose())
        {
            disposal.TrySetResult(EndAsync());
        }

        return base.DisposeAsync();

        async Task EndAsync() => await CloseAsync(
            CloseReason.HandlerCompleted, EndKind(isFault: false), fault: null).ConfigureAwait(false);
    }

    public override string ToString() => _connection.ToString() ?? string.Empty;
}
