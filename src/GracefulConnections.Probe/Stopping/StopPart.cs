using GracefulConnections.Probe.Scenarios;

namespace GracefulConnections.Probe.Stopping;

/// <summary>One line of the report about a stop: what happened to peers of one kind.</summary>
internal sealed record StopPart(StopPeer Peer, ScenarioInfo Info);
