namespace GracefulConnections;

/// <summary>How a relay ended.</summary>
public enum RelayOutcome
{
    /// <summary>It has not.</summary>
    None,

    /// <summary>Both sides ended their output, and everything went through.</summary>
    Completed,

    /// <summary>
    /// A close was requested, and nothing was left to be answered: the upstream got FIN, and what it still sent went
    /// through.
    /// </summary>
    CloseRequested,

    /// <summary>
    /// A close was requested, and the upstream had not answered what it got last. Perhaps that was a part of a message,
    /// so the upstream got RST, which cannot be taken for an end.
    /// </summary>
    CutOff,

    /// <summary>The peer reset its connection, or the network did. The upstream got RST.</summary>
    PeerReset,

    /// <summary>The upstream reset its connection, or the network did. The peer got RST.</summary>
    UpstreamReset,

    /// <summary>The application or a limit aborted one of the connections. The other one got RST.</summary>
    Aborted,
}
