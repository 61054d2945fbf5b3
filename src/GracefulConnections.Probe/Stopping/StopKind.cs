namespace GracefulConnections.Probe.Stopping;

/// <summary>What is done to the server while it has peers.</summary>
internal enum StopKind
{
    Restart,
    Stop,
}
