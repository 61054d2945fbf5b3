namespace GracefulConnections;

/// <summary>
/// Where one connection is on its way to its end. Declared in the order entered; a state only moves forward.
/// </summary>
public enum CloseState
{
    /// <summary>The handler serves the connection, and may read and write. The peer may have half-closed.</summary>
    Open,

    /// <summary>The handler completed its output. FIN follows the last byte; the handler may go on reading.</summary>
    HalfClosed,

    /// <summary>The handler has returned. What it wrote, and FIN behind it, is on its way to the peer's ACK.</summary>
    Flushing,

    /// <summary>
    /// This side's FIN and everything before it was delivered. Only the peer's FIN is missing; what the peer still
    /// sends is discarded.
    /// </summary>
    Lingering,

    /// <summary>
    /// The connection ended without an RST of this side's: with FIN in each direction, with everything acknowledged, by
    /// a limit that left the kernel to deliver, or left to the server. <see cref="CloseResult.Outcome"/> tells which.
    /// Final.
    /// </summary>
    Closed,

    /// <summary>
    /// The connection ended with RST, of this side or of the peer: something may be missing. Final.
    /// </summary>
    Aborted,
}
