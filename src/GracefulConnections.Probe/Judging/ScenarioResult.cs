using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Judging;

/// <summary>What a report says of one scenario.</summary>
internal sealed record ScenarioResult
{
    /// <summary>Gets the number of the section and of the scenario in it, such as 2.1.</summary>
    public required string Section { get; init; }

    public required string Name { get; init; }

    public required Verdict Verdict { get; init; }

    public required Fault Fault { get; init; }

    public required long LostBytes { get; init; }

    public required string Expected { get; init; }

    public required string Seen { get; init; }

    public string? Reason { get; init; }

    /// <summary>Gets where the rule is written that the scenario tests.</summary>
    public required string Reference { get; init; }

    public required double Ms { get; init; }

    public IReadOnlyList<WireEvent> Events { get; init; } = [];
}
