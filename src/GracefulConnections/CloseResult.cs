using Microsoft.AspNetCore.Connections;

namespace GracefulConnections;

/// <summary>How one connection ended.</summary>
public readonly record struct CloseResult
{
    /// <summary>Gets why the close began.</summary>
    public CloseReason Reason { get; init; }

    /// <summary>Gets how it ended.</summary>
    public CloseOutcome Outcome { get; init; }

    /// <summary>
    /// Gets the time from the handler's return to the end; zero when the connection ended while its handler still ran.
    /// </summary>
    public TimeSpan Duration { get; init; }

    /// <summary>Gets the bytes that the peer sent and no handler consumed, thrown away.</summary>
    public long DiscardedBytes { get; init; }

    /// <summary>
    /// Gets what the handler wrote and the peer's kernel had not acknowledged when the close ended, bytes still
    /// buffered in this process included. It is an upper bound of what the peer is missing, because an acknowledgement
    /// can be lost or overtaken by a reset, and because the kernel goes on delivering after a limit that did not abort.
    /// It is 0 only when everything was acknowledged. <see langword="null"/> where it cannot be known: on transports
    /// without a socket; on kernels that do not tell, which is found out once for each process (Linux tells; Windows,
    /// macOS and gVisor do not); inside of TLS when a part was acknowledged; and after
    /// <see cref="ConnectionContext.Abort(ConnectionAbortedException)"/>,
    /// which frees the socket before it can be asked (unless everything was delivered before). Acknowledged means that
    /// the peer's kernel has the bytes, not that its program has read them.
    /// </summary>
    public long? UnacknowledgedBytes { get; init; }
}
