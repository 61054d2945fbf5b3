using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Transport;

/// <summary>How the input ended: by the peer's FIN, or by a reset that may look like one.</summary>
internal struct InputEnd
{
    private volatile bool _resetSeen;
    private volatile bool _peerReset;
    private volatile bool _endedByReset;
    private volatile bool _endHanded;
    private bool _endSeen;
    private bool _hadEndedAtReset;
    private bool _isEndBeforeReset;
    private long _receivedAtReset; // By the kernel, with the FIN; 0 where it does not tell.

    /// <summary>Gets whether the handler was told that the peer or the network ended the connection.</summary>
    public readonly bool ResetSeen => _resetSeen;

    /// <summary>
    /// Gets whether the connection was over when the input of TLS ended. An abort of ours makes that end an error, so
    /// this one was the peer's or the network's.
    /// </summary>
    public readonly bool EndedByReset => _endedByReset;

    /// <summary>Gets whether the handler was handed the peer's end of the input.</summary>
    public readonly bool EndHanded => _endHanded;

    /// <summary>Gets whether the server had received all of the input when a send was told of a reset.</summary>
    public readonly bool HadEndedAtReset => _hadEndedAtReset;

    /// <summary>
    /// Gets the exception by which the handler was told that the peer or the network ended the connection.
    /// </summary>
    public Exception? ResetException { get; private set; }

    /// <summary>
    /// A send was told of the peer's reset. Call it before the abort, after which the kernel tells nothing.
    /// </summary>
    /// <param name="kind">Whose reader the input is.</param>
    /// <param name="queue">The kernel's queue, if there is one.</param>
    /// <param name="hasEnded">Whether the server has received the end of the input.</param>
    /// <param name="isKept">
    /// Whether the transport's reader goes on to the end of what the peer had sent, and tells itself what that is.
    /// </param>
    public void OnPeerReset(InputKind kind, KernelQueue? queue, bool hasEnded, bool isKept = false)
    {
        _hadEndedAtReset = hasEnded;
        if (isKept)
        {
            _isEndBeforeReset = true;
        }
        else if (kind == InputKind.Transport && queue?.TryGetTcpInfo(out var info) == true)
        {
            _receivedAtReset = info.ReceivedBytes;
        }
        else
        {
            // What was sent on a Unix domain socket is there, and its end never looks like a reset.
            _isEndBeforeReset = hasEnded || queue?.IsUnix == true;
        }

        _peerReset = true;
    }

    /// <summary>The handler is handed a result.</summary>
    /// <param name="isEnd">Whether it is the peer's end.</param>
    public void OnHanded(bool isEnd) => _endHanded |= isEnd;

    /// <summary>
    /// The transport's reader has ended. Behind TLS a reset may come after close_notify, with nothing missing, so that
    /// there the end stays one. Only the first look counts: by the next one the library may have aborted the connection
    /// itself.
    /// </summary>
    public void OnEnded(InputKind kind, KernelQueue? queue)
    {
        if (!_endSeen)
        {
            _endSeen = true;
            _endedByReset = kind != InputKind.Transport && queue?.IsOver(finSent: false) == true;
        }
    }

    /// <summary>
    /// Returns whether an end of the transport's reader is a reset. The kernel tells of a reset once: if it told a
    /// send, the transport's receive saw an end as if by FIN, and the handler would take a part for the whole. But a
    /// peer that does not wait for its replies sends FIN, and RST for the first one: there nothing is missing.
    /// </summary>
    public bool IsReset(InputKind kind, KernelQueue? queue, long receivedBytes)
    {
        OnEnded(kind, queue);

        // In this order: after the abort that follows the latter, the kernel tells nothing.
        return (kind == InputKind.Transport && queue?.IsResetBeforeFin(receivedBytes) == true)
            || (_peerReset && !_isEndBeforeReset && _receivedAtReset != receivedBytes + 1);
    }

    /// <summary>Returns the exception that tells the handler of a reset which looked like an end.</summary>
    public Exception GetReset()
    {
        _resetSeen = true;
        return ResetException ??= InputErrors.CreateReset();
    }

    /// <summary>Returns the exception that tells the handler why a read failed.</summary>
    public Exception Explain(Exception exception)
    {
        // The abort that follows a reset which a send was told of must not look like one of ours.
        var reset = exception as ConnectionResetException
            ?? (_peerReset && exception is ConnectionAbortedException
                ? new ConnectionResetException(exception.Message, exception)
                : null);
        if (reset is not null || TransportFault.IsNetworkEnd(exception))
        {
            ResetException ??= reset ?? exception;
            _resetSeen = true;
        }

        return reset ?? exception;
    }
}
