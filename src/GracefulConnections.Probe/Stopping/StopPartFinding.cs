using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Stopping;

/// <summary>What peers of one kind saw of a stop.</summary>
internal sealed record StopPartFinding(StopPart Part, Finding Finding, IReadOnlyList<WireEvent> Events, double Ms);
