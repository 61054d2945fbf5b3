namespace GracefulConnections.Probe.Judging;

/// <summary>One letter for a run, the best first.</summary>
internal enum Grade
{
    /// <summary>Every scenario passed.</summary>
    APlus,

    /// <summary>Nothing failed, and something was skipped or could not be judged.</summary>
    A,

    /// <summary>The server lets go later than after 60 s.</summary>
    B,

    /// <summary>RST in place of FIN, or no close_notify. Nothing was lost.</summary>
    C,

    /// <summary>Bytes were lost behind an RST.</summary>
    D,

    /// <summary>Bytes were lost behind a clean end, half a message was executed, or the server died.</summary>
    F,
}
