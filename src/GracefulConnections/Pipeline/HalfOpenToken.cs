using GracefulConnections.Closing;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Pipeline;

/// <summary>
/// With <see cref="GracefulCloseOptions.AllowHalfOpen"/>: the <c>ConnectionClosed</c> of a connection that is over only
/// when both directions are. The server's own token fires on the peer's FIN already.
/// </summary>
internal sealed class HalfOpenToken(ConnectionContext connection, CloseScope scope)
{
    private readonly CancellationToken _original = connection.ConnectionClosed;
    private readonly ClosedToken _over = new(scope, connection.ConnectionId, CancellationToken.None);
    private ConnectionTransport _transport;
    private Closer? _closer;
    private CancellationTokenRegistration _inputEnded;

    /// <summary>Puts the token in front of the server's own.</summary>
    public void Attach(in ConnectionTransport transport, Closer closer)
    {
        _transport = transport;
        _closer = closer;
        connection.ConnectionClosed = _over.Token;

        // The server's token fires when its receive loop ends: on the peer's FIN, which is not the end here, and on
        // everything that is. It may fire so late that a reset has come behind the FIN.
        _inputEnded = _original.UnsafeRegister(static state => ((HalfOpenToken)state!).NoticeEnd(), this);
    }

    /// <summary>Gives the connection its own token back.</summary>
    public void Restore()
    {
        _inputEnded.Dispose();
        connection.ConnectionClosed = _original;
    }

    /// <summary>
    /// Notices what nobody else does: a reset behind the peer's FIN, and one behind bytes that the handler does not
    /// read, so that the server does not receive either.
    /// </summary>
    /// <returns>Whether the connection is over.</returns>
    public bool NoticeEnd()
    {
        if (_transport.Queue?.HasUnnoticedReset() == true)
        {
            _closer!.OnFaulted( // Signals as well.
                new ConnectionResetException("The peer reset the connection while nothing was read or sent."));
            return true;
        }

        if (!_original.IsCancellationRequested || !IsOver())
        {
            return false;
        }

        Signal();
        return true;
    }

    /// <summary>The connection is over.</summary>
    public void Signal() => _over.Signal();

    private bool IsOver() => _transport.Queue?.IsOver(_transport.Output.GetDelivery().IsDelivered) ?? true;
}
