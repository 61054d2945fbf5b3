namespace GracefulConnections;

/// <summary>What a connection's handler does, as far as it can be seen.</summary>
public enum ConnectionActivity
{
    /// <summary>
    /// It cannot be seen. Such is a handler that reads <c>ConnectionClosedRequested</c>, as Kestrel's HTTP does: it may
    /// wait for the next bytes while it still answers what came before.
    /// </summary>
    Unknown,

    /// <summary>
    /// Nothing is in hand: the handler waits for input with everything consumed, or the connection has not carried a
    /// byte yet, or the handler has returned.
    /// </summary>
    Idle,

    /// <summary>The handler has a message in hand.</summary>
    Busy,
}
