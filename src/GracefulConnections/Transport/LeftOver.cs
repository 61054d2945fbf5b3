namespace GracefulConnections.Transport;

/// <summary>What becomes of the output when it ends.</summary>
internal enum LeftOver
{
    /// <summary>Everything that was written is sent, flushed or not, and our FIN behind it.</summary>
    Send,

    /// <summary>Everything that was written is sent, flushed or not, and no FIN: who closes aborts behind it.</summary>
    SendThenReset,

    /// <summary>
    /// As <see cref="SendThenReset"/>, but the server closes. Inside of TLS: a handler that threw says no close_notify,
    /// which would tell the peer that its reply is complete. Over HTTP: only the server can tell of the fault.
    /// </summary>
    SendThenClose,

    /// <summary>
    /// The writer may still run. What was flushed is sent, and our FIN behind it. No memory goes back to the pool.
    /// </summary>
    Abandon,
}
