namespace GracefulConnections.Probe.Judging;

/// <summary>What a server did wrong, the least bad first.</summary>
internal enum Fault
{
    None,

    /// <summary>The server held a connection, or itself, for longer than 60 s.</summary>
    LateRelease,

    /// <summary>An RST came in place of FIN, or TLS ended without close_notify. Nothing was lost.</summary>
    UncleanEnd,

    /// <summary>Bytes are missing, and an RST told the peer so (inside of TLS: a missing close_notify).</summary>
    LostBehindReset,

    /// <summary>Bytes are missing, and the peer saw a clean end.</summary>
    LostBehindEnd,

    /// <summary>The server answered half a message as if it were whole.</summary>
    ExecutedHalf,

    /// <summary>The server serves nobody any more.</summary>
    Died,
}
