namespace GracefulConnections.Dashboard;

/// <summary>A picture of the server at one moment.</summary>
internal sealed record DashboardSummary
{
    public DateTimeOffset Time { get; init; }

    public DrainPhase Phase { get; init; }

    public int Total { get; init; }

    public required IReadOnlyDictionary<string, int> States { get; init; }

    public required IReadOnlyDictionary<string, int> Activities { get; init; }

    /// <summary>Gets the oldest of those that were asked to close and have not.</summary>
    public required IReadOnlyList<ConnectionRow> Holders { get; init; }

    public int HolderCount { get; init; }

    public DrainProgress? Drain { get; init; }

    /// <summary>Gets how the connections of each second ended, since somebody looks.</summary>
    public required IReadOnlyList<CloseSecond> Closes { get; init; }

    /// <summary>Gets the bytes that were not delivered, since somebody looks.</summary>
    public long LostBytes { get; init; }

    public int Viewers { get; init; }

    public bool AllowsActions { get; init; }

    /// <summary>Gets what a request that acts must carry. Only where actions are allowed.</summary>
    public string? RequestToken { get; init; }
}
