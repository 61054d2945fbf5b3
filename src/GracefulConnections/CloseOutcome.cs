namespace GracefulConnections;

/// <summary>How a close ended. A value, never an exception.</summary>
public enum CloseOutcome
{
    /// <summary>All output and our FIN were delivered and the peer's FIN arrived. Nothing that was flushed was lost.</summary>
    Graceful,

    /// <summary>
    /// The peer's kernel acknowledged all output and our FIN, and we did not wait for the peer's FIN
    /// (<see cref="LingerUntil.OutputAcknowledged"/>).
    /// </summary>
    Acknowledged,

    /// <summary>Output was undelivered without progress for <see cref="GracefulCloseOptions.FlushStallTimeout"/>. Aborted.</summary>
    FlushTimedOut,

    /// <summary>All output was delivered, then the peer was silent for <see cref="GracefulCloseOptions.LingerIdleTimeout"/>. Aborted.</summary>
    LingerTimedOut,

    /// <summary>The peer sent more than <see cref="GracefulCloseOptions.MaxLingerBytes"/> after our FIN. Aborted.</summary>
    LingerLimitExceeded,

    /// <summary>The oldest lingering connection made room for a newer one (<see cref="GracefulCloseOptions.MaxLingeringConnections"/>). Aborted.</summary>
    LingerEvicted,

    /// <summary>The close took longer than <see cref="GracefulCloseOptions.CloseTimeout"/>. Aborted.</summary>
    CloseTimedOut,

    /// <summary>The peer reset the connection, or the network reported it dead.</summary>
    PeerReset,

    /// <summary>The application aborted the connection, or its handler failed. Aborted.</summary>
    Aborted,
}
