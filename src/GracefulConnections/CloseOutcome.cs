namespace GracefulConnections;

/// <summary>How a close ended. A value, never an exception.</summary>
/// <remarks>
/// A limit is no abort. Once all output and the FIN behind it are in the kernel, a limit closes the socket without RST,
/// and the kernel goes on delivering. Only while output is still in this process does a limit end with RST.
/// </remarks>
public enum CloseOutcome
{
    /// <summary>There is no outcome: the value of a result that nobody filled in.</summary>
    None,

    /// <summary>
    /// All output was delivered, and the peer's FIN arrived. Nothing that the handler wrote was lost.
    /// </summary>
    Graceful,

    /// <summary>
    /// The peer's kernel acknowledged all output and the FIN behind it, and the peer's FIN was not waited for
    /// (<see cref="LingerUntil.OutputAcknowledged"/>).
    /// </summary>
    Acknowledged,

    /// <summary>
    /// The end was left to the server, because another middleware stands between its transport and
    /// <c>UseGracefulShutdown()</c>, or one before it had written already. The handler's output was flushed. What the
    /// kernel's send queue held then was acknowledged, or made no progress for
    /// <see cref="GracefulCloseOptions.FlushStallTimeout"/>. The server closes both directions, as without the library.
    /// </summary>
    LeftToServer,

    /// <summary>
    /// Output was undelivered without progress for <see cref="GracefulCloseOptions.FlushStallTimeout"/>.
    /// </summary>
    FlushTimedOut,

    /// <summary>
    /// All output was delivered, then the peer was silent for <see cref="GracefulCloseOptions.LingerIdleTimeout"/>. Or,
    /// while draining, nothing but the FIN behind it was undelivered for
    /// <see cref="ServerDrainOptions.LingerIdleTimeout"/>.
    /// </summary>
    LingerTimedOut,

    /// <summary>
    /// The peer sent more than <see cref="GracefulCloseOptions.MaxLingerBytes"/> after this side's FIN.
    /// </summary>
    LingerLimitExceeded,

    /// <summary>
    /// The oldest lingering connection made room for a newer one
    /// (<see cref="GracefulCloseOptions.MaxLingeringConnections"/>).
    /// </summary>
    LingerEvicted,

    /// <summary>
    /// All output was delivered, and <see cref="GracefulCloseOptions.CloseTimeout"/> later the peer had not sent its
    /// FIN. Or that is the shorter limit of a flush without progress.
    /// </summary>
    CloseTimedOut,

    /// <summary>The peer reset the connection, or the network reported it dead.</summary>
    PeerReset,

    /// <summary>
    /// The connection ended with RST: the application or a drain's deadline aborted it, or a part of the handler's
    /// output or of the peer's input is known to be missing. Without RST at a drain's deadline, and at the server's own
    /// end, if the handler had returned and the kernel had all output and the FIN behind it: it goes on delivering.
    /// </summary>
    Aborted,
}
