namespace GracefulConnections;

/// <summary>How a close ended. A value, never an exception.</summary>
/// <remarks>
/// A limit is no abort: once all output and our FIN are in the kernel, it closes the socket as every close does, and the kernel goes
/// on delivering. Only while output is still in this process does a limit end with RST.
/// </remarks>
public enum CloseOutcome
{
    /// <summary>All output and our FIN were delivered and the peer's FIN arrived. Nothing that was flushed was lost.</summary>
    Graceful,

    /// <summary>
    /// The peer's kernel acknowledged all output and our FIN, and we did not wait for the peer's FIN
    /// (<see cref="LingerUntil.OutputAcknowledged"/>).
    /// </summary>
    Acknowledged,

    /// <summary>
    /// The end was left to the server, because another middleware stands between its transport and
    /// <c>UseGracefulShutdown()</c>, or one before it had written already. The handler's output was flushed. What the kernel's send
    /// queue held then was acknowledged, or made no progress for <see cref="GracefulCloseOptions.FlushStallTimeout"/>.
    /// </summary>
    LeftToServer,

    /// <summary>Output was undelivered without progress for <see cref="GracefulCloseOptions.FlushStallTimeout"/>.</summary>
    FlushTimedOut,

    /// <summary>
    /// All output was delivered, then the peer was silent for <see cref="GracefulCloseOptions.LingerIdleTimeout"/>. Or, while
    /// draining, nothing but our FIN was undelivered for <see cref="ServerDrainOptions.LingerIdleTimeout"/>.
    /// </summary>
    LingerTimedOut,

    /// <summary>The peer sent more than <see cref="GracefulCloseOptions.MaxLingerBytes"/> after our FIN.</summary>
    LingerLimitExceeded,

    /// <summary>
    /// The oldest lingering connection made room for a newer one (<see cref="GracefulCloseOptions.MaxLingeringConnections"/>).
    /// </summary>
    LingerEvicted,

    /// <summary>The close took longer than <see cref="GracefulCloseOptions.CloseTimeout"/>.</summary>
    CloseTimedOut,

    /// <summary>The peer reset the connection, or the network reported it dead.</summary>
    PeerReset,

    /// <summary>
    /// The connection ended with RST: the application or a drain's deadline aborted it, or a part of the handler's output or of the
    /// peer's input is known to be missing.
    /// </summary>
    Aborted,
}
