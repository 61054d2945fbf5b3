namespace GracefulConnections.Probe.Wire;

/// <summary>What happened on a connection.</summary>
internal enum WireKind
{
    Connect,
    Data,
    Urgent,
    CloseNotify,
    Fin,
    Reset,

    /// <summary>Nothing was sent: what the probe did, or waited for.</summary>
    Note,
}
