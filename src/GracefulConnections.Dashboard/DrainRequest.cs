namespace GracefulConnections.Dashboard;

/// <summary>What to drain. At least one of the first three.</summary>
internal sealed record DrainRequest
{
    /// <summary>Gets a part of the id, of the peer's address or of the tag.</summary>
    public string? Filter { get; init; }

    /// <summary>Gets the whole tag.</summary>
    public string? Tag { get; init; }

    /// <summary>Gets whether every connection is meant.</summary>
    public bool All { get; init; }

    /// <summary>Gets the seconds that it may take; <see langword="null"/> for the server's own limit.</summary>
    public double? TimeoutSeconds { get; init; }
}
