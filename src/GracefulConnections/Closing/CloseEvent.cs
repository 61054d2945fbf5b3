namespace GracefulConnections.Closing;

/// <summary>What can happen to a connection that matters for its close.</summary>
internal enum CloseEvent
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>The server or the application asks for the close.</summary>
    CloseRequested,

    /// <summary>The handler completed its output.</summary>
    OutputCompleted,

    /// <summary>The handler completed its output with an exception.</summary>
    OutputFaulted,

    /// <summary>The handler returned. What the peer sends from now on is discarded.</summary>
    HandlerReturned,

    /// <summary>
    /// The handler returned, and a flush of its may still be pending, which the goodbye has to wait for.
    /// </summary>
    FlushAwaited,

    /// <summary>The goodbye is about to be said.</summary>
    GoodbyeBegan,

    /// <summary>The goodbye was said or given up.</summary>
    GoodbyeEnded,

    /// <summary>Nobody can write any more. What was written is sent.</summary>
    Sealed,

    /// <summary>Our FIN is about to leave.</summary>
    FinSending,

    /// <summary>All output and our FIN were sent.</summary>
    FinSent,

    /// <summary>All output was sent, and no FIN follows.</summary>
    AllSent,

    /// <summary>The peer's FIN arrived.</summary>
    PeerFin,

    /// <summary>The peer sent something that nobody reads.</summary>
    BytesDiscarded,

    /// <summary>A drain accepts no longer silence than its own limit.</summary>
    LingerCapped,

    /// <summary>Somebody looked at the connection.</summary>
    Looked,

    /// <summary>A newer lingering connection needs the place.</summary>
    Evicted,

    /// <summary>The server closes the socket by FIN itself.</summary>
    ClosedByServer,

    /// <summary>The close inside of TLS had to abort, and this one ends in the same way.</summary>
    InnerAborted,

    /// <summary>The peer or the network ended the connection.</summary>
    PeerReset,

    /// <summary>The application or a drain aborted the connection, or the transport failed on this side.</summary>
    Abort,

    /// <summary>Limit: the time of a drain is up.</summary>
    DrainTimedOut,

    /// <summary>Limit: the goodbye takes too long.</summary>
    GoodbyeExpired,

    /// <summary>Limit: output was undelivered without progress for too long.</summary>
    FlushStalled,

    /// <summary>Limit: the close took too long, without a flush that makes progress.</summary>
    CloseTimedOut,

    /// <summary>Limit: the peer was silent for too long after delivery.</summary>
    LingerSilent,

    /// <summary>Limit: the peer sent too much after our FIN.</summary>
    LingerLimitExceeded,

    /// <summary>Everything is acknowledged, the peer was quiet, and the options do not ask for its FIN.</summary>
    QuietAfterDelivery,

    /// <summary>Everything is acknowledged, the peer had time to read it, and a part is known to be missing.</summary>
    ResetDue,

    /// <summary>The peer only seems to be silent, so it gets a little more time, once.</summary>
    GraceGiven,
}
