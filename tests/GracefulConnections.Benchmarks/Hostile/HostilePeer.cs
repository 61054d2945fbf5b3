namespace GracefulConnections.Benchmarks.Hostile;

/// <summary>What the peer of a hostile connection does.</summary>
internal enum HostilePeer
{
    /// <summary>Reads everything, then sends FIN or keeps its side open.</summary>
    Reads,

    /// <summary>Reads a part and sends RST.</summary>
    Resets,

    /// <summary>Sends FIN first, then reads everything.</summary>
    HalfClosesFirst,

    /// <summary>Reads nothing for a while, then everything.</summary>
    Stalls,

    /// <summary>Sends for as long as it reads.</summary>
    Uploads,

    /// <summary>Reads nothing, and closes after a while.</summary>
    Vanishes,

    /// <summary>Sends an urgent byte among its own, while it is served or after the server's FIN.</summary>
    Urgent,

    /// <summary>Closes as soon as it is connected.</summary>
    ClosesAtOnce,

    /// <summary>Sends and reads a few bytes at a time.</summary>
    Trickles,
}
