namespace GracefulConnections.Probe.Stopping;

/// <summary>What the peers of a stop are doing when it begins.</summary>
internal enum StopPeer
{
    Idle,
    Busy,
    Asking,
    HalfWay,
    Connecting,

    /// <summary>Nobody: the server itself is watched.</summary>
    Server,
}
