using System.Net;

namespace GracefulConnections;

/// <summary>One connection at the moment of the snapshot.</summary>
public sealed record TrackedConnectionInfo
{
    /// <summary>Gets the connection's id, as in the server's log.</summary>
    public required string ConnectionId { get; init; }

    /// <summary>
    /// Gets the address that the peer connected to, or that an outgoing connection was made from;
    /// <see langword="null"/> where the transport has none.
    /// </summary>
    public EndPoint? LocalEndPoint { get; init; }

    /// <summary>Gets the peer's address; <see langword="null"/> where the transport has none.</summary>
    public EndPoint? RemoteEndPoint { get; init; }

    /// <summary>
    /// Gets whether bytes are encrypted on the wire, as far as it can be seen: by Kestrel's own TLS.
    /// </summary>
    public bool IsTls { get; init; }

    /// <summary>
    /// Gets whether the server made the connection (<see cref="OutgoingConnectionOptions.DrainWithServer"/>) instead of
    /// accepting it.
    /// </summary>
    public bool IsOutgoing { get; init; }

    /// <summary>Gets what the application has set as <see cref="IGracefulCloseFeature.Tag"/>.</summary>
    public object? Tag { get; init; }

    /// <summary>Gets where the connection is on its way to its end.</summary>
    public CloseState State { get; init; }

    /// <summary>
    /// Gets why the close began or was requested; <see cref="CloseReason.None"/> while it was not.
    /// </summary>
    public CloseReason Reason { get; init; }

    /// <summary>Gets whether the connection was asked to close.</summary>
    public bool IsCloseRequested { get; init; }

    /// <summary>Gets what the handler does, as far as it can be seen.</summary>
    public ConnectionActivity Activity { get; init; }

    /// <summary>Gets the time since the connection was accepted; of an outgoing one, since it is tracked.</summary>
    public TimeSpan Age { get; init; }

    /// <summary>Gets the time since the handler received what it has in hand; zero unless it is busy.</summary>
    public TimeSpan BusyTime { get; init; }

    /// <summary>
    /// Gets the time since bytes were last received or flushed; a connection's age when there were none.
    /// </summary>
    public TimeSpan IdleTime { get; init; }

    /// <summary>Gets the number of bytes that were received. Bytes count when they are read.</summary>
    public long ReceivedBytes { get; init; }

    /// <summary>Gets the number of bytes that the handler wrote.</summary>
    public long WrittenBytes { get; init; }

    /// <summary>
    /// Gets the number of bytes that the handler wrote and the peer's kernel has not acknowledged, an upper bound of
    /// what the peer does not have; <see langword="null"/> where it cannot be known.
    /// </summary>
    public long? UnacknowledgedBytes { get; init; }

    /// <summary>
    /// Gets whether the peer's kernel takes nothing more, because its program does not read. Always
    /// <see langword="false"/> where it cannot be known (all but plain TCP on Linux; multipath TCP is one of those).
    /// </summary>
    public bool IsPeerWindowClosed { get; init; }
}
