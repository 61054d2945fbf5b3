namespace GracefulConnections.Testing;

/// <summary>What a peer saw of a connection so far, and when.</summary>
/// <remarks>All times count from the connect, by the peer's clock.</remarks>
public sealed record PeerReport
{
    /// <summary>Gets the number of bytes that the peer read.</summary>
    public long ReceivedBytes { get; init; }

    /// <summary>Gets when the peer read the first of them; <see langword="null"/> while there was none.</summary>
    public TimeSpan? FirstByteAfter { get; init; }

    /// <summary>Gets when the peer read the last of them; <see langword="null"/> while there was none.</summary>
    public TimeSpan? LastByteAfter { get; init; }

    /// <summary>Gets how the connection ended; <see langword="null"/> while the peer has not noticed an end.</summary>
    public PeerSaw? End { get; init; }

    /// <summary>Gets when the peer noticed the end; <see langword="null"/> while it has not.</summary>
    public TimeSpan? EndAfter { get; init; }
}
