namespace GracefulConnections.Probe.Tests.Servers;

/// <summary>What a server of these tests does wrong.</summary>
internal enum ServerFault
{
    None,

    /// <summary>Closes behind its reply, whatever the peer still sends.</summary>
    ClosesAtOnce,

    /// <summary>Never lets go of a connection that it has ended.</summary>
    HoldsForEver,

    /// <summary>Sends half of the replies that it owes when the peer's FIN comes, then FIN.</summary>
    DropsRepliesAtFin,

    /// <summary>Ends every connection by RST.</summary>
    ResetsAtEnd,

    /// <summary>Stops to serve when a peer resets its connection.</summary>
    DiesOfReset,

    /// <summary>Resets 4 s after it has ended the connection, although the peer still reads.</summary>
    CountsFromItsClose,

    /// <summary>Resets a peer that does not read for 3 s.</summary>
    GivesUpSlowPeers,

    /// <summary>Answers what has come of a line when the peer's FIN comes.</summary>
    ExecutesHalfAtFin,

    /// <summary>Answers what has come of a line when the peer is silent for a second.</summary>
    ExecutesHalfAtSilence,

    /// <summary>Reads urgent bytes as data.</summary>
    ReadsUrgentInline,

    /// <summary>Ends TLS by FIN, without close_notify.</summary>
    SaysNoCloseNotify,

    /// <summary>No fault: behind close_notify, its FIN waits for the peer's answer or for 2 s of silence.</summary>
    AwaitsCloseNotify,
}
