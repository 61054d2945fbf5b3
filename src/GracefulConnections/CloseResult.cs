namespace GracefulConnections;

/// <summary>How one connection ended.</summary>
/// <param name="Reason">Why the close began.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="Duration">From the handler's return to the end; zero when the connection ended while its handler still ran.</param>
/// <param name="DiscardedBytes">Bytes that the peer sent and no handler consumed, thrown away.</param>
/// <param name="UnacknowledgedBytes">
/// What the handler wrote and the peer's kernel has not acknowledged, bytes still buffered here included; 0 when everything was delivered.
/// <see langword="null"/> where it cannot be known: on transports without a socket, on platforms that do not tell (all but Linux), and
/// after <see cref="Microsoft.AspNetCore.Connections.ConnectionContext.Abort(Microsoft.AspNetCore.Connections.ConnectionAbortedException)"/>,
/// which frees the socket before it can be asked (unless everything was delivered before).
/// Acknowledged means that the peer's kernel has the bytes, not that its program has read them.
/// </param>
public readonly record struct CloseResult(CloseReason Reason, CloseOutcome Outcome, TimeSpan Duration, long DiscardedBytes, long? UnacknowledgedBytes);
