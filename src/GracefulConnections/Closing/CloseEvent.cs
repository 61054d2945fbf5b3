namespace GracefulConnections.Closing;

/// <summary>What can happen to a connection that matters for its close.</summary>
internal enum CloseEvent
{
    /// <summary>The handler completed its output.</summary>
    OutputCompleted,

    /// <summary>The handler returned, and the goodbye, if any, is said.</summary>
    HandlerReturned,

    /// <summary>All output and our FIN were delivered.</summary>
    Delivered,

    /// <summary>The peer's FIN arrived.</summary>
    PeerFin,

    /// <summary>Everything is acknowledged, the peer was quiet, and the options do not ask for its FIN.</summary>
    QuietAfterDelivery,

    /// <summary>Nothing was taken over from the server, and what can be seen of its output has left.</summary>
    LeftToServer,

    /// <summary>The server closed the socket by FIN itself, after the peer's FIN and with nothing unsent.</summary>
    ClosedByServer,

    /// <summary>Output was undelivered without progress for too long.</summary>
    FlushStalled,

    /// <summary>The peer was silent for too long after delivery.</summary>
    LingerSilent,

    /// <summary>The peer sent too much after our FIN.</summary>
    LingerLimitExceeded,

    /// <summary>A newer lingering connection needed the place.</summary>
    LingerEvicted,

    /// <summary>The whole close took too long.</summary>
    CloseTimeout,

    /// <summary>The peer or the network ended the connection.</summary>
    PeerReset,

    /// <summary>The application aborted the connection, or its handler failed.</summary>
    Abort,
}
