namespace GracefulConnections;

/// <summary>Where one connection is on its way to its end. Declared in the order entered; a state only moves forward.</summary>
public enum CloseState
{
    /// <summary>The handler serves the connection, and both directions are open for us. The peer may have half-closed.</summary>
    Open,

    /// <summary>The handler completed its output. Our FIN follows the last byte; the handler may go on reading.</summary>
    HalfClosed,

    /// <summary>The handler has returned. What it wrote, and our FIN behind it, is on its way to the peer's ACK.</summary>
    Flushing,

    /// <summary>Our FIN and everything before it was delivered. Only the peer's FIN is missing; what it still sends is discarded.</summary>
    Lingering,

    /// <summary>The connection ended with a FIN in each direction, or with everything acknowledged. Final.</summary>
    Closed,

    /// <summary>The connection ended with RST. Final.</summary>
    Aborted,
}
