namespace GracefulConnections;

/// <summary>How a relay ended, and what it moved.</summary>
public readonly record struct RelayResult
{
    /// <summary>Gets how it ended.</summary>
    public RelayOutcome Outcome { get; init; }

    /// <summary>Gets the bytes that went from the connection to its upstream.</summary>
    public long BytesToUpstream { get; init; }

    /// <summary>Gets the bytes that came from the upstream.</summary>
    public long BytesFromUpstream { get; init; }

    /// <summary>Gets how long it took, from the call to the end of both directions.</summary>
    public TimeSpan Duration { get; init; }
}
