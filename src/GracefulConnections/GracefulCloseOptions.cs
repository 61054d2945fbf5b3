using Microsoft.AspNetCore.Connections;

namespace GracefulConnections;

/// <summary>How one endpoint's connections end. Checked when the server starts; bad values stop it before it listens.</summary>
public class GracefulCloseOptions
{
    /// <summary>
    /// Gets or sets the longest time without progress while output is undelivered. Every byte that the peer's kernel acknowledges restarts
    /// it, so a slow reader is not a stalled one. Defaults to 10 seconds.
    /// </summary>
    /// <value>A positive time, or <see cref="Timeout.InfiniteTimeSpan"/> for no limit but <see cref="CloseTimeout"/>.</value>
    /// <remarks>
    /// Applies from the handler's return on; after a close request also to a write that the handler is blocked in. Progress is looked
    /// at every 10 to 250 milliseconds, so the end may be that much late, never early. Where acknowledgements cannot be seen, progress is bytes that
    /// the kernel accepted.
    /// </remarks>
    public TimeSpan FlushStallTimeout { get; set; } = TimeSpan.FromSeconds(10); // Outlasts five lost retransmissions in a row: 0.2 + 0.4 + 0.8 + 1.6 + 3.2 s from Linux' TCP_RTO_MIN.

    /// <summary>
    /// Gets or sets the longest silence to accept from the peer between the delivery of all output and the peer's FIN. Every received byte restarts it. Defaults to 5 seconds.
    /// </summary>
    /// <value>A positive time, or <see cref="Timeout.InfiniteTimeSpan"/> for no limit but <see cref="CloseTimeout"/>.</value>
    public TimeSpan LingerIdleTimeout { get; set; } = TimeSpan.FromSeconds(5); // Matches nginx's lingering_timeout.

    /// <summary>Gets or sets the longest time for the whole close, from the handler's return on, whatever the peer does. Defaults to 2 minutes.</summary>
    /// <value>A positive, finite time.</value>
    public TimeSpan CloseTimeout { get; set; } = TimeSpan.FromMinutes(2); // Four times nginx's lingering_time: a slow reader of megabytes is legitimate.

    /// <summary>Gets or sets the most bytes to discard after our FIN; one more aborts the connection. Defaults to <see langword="null"/>, no limit.</summary>
    /// <value><see langword="null"/>, or zero or more bytes.</value>
    public long? MaxLingerBytes { get; set; }

    /// <summary>
    /// Gets or sets the most connections of the endpoint that may linger at a time; beyond it the one that lingers longest is aborted. Defaults to <see langword="null"/>, no limit.
    /// </summary>
    /// <value><see langword="null"/>, or one or more connections.</value>
    public int? MaxLingeringConnections { get; set; }

    /// <summary>Gets or sets what ends a linger well. Defaults to <see cref="LingerUntil.PeerFin"/>.</summary>
    public LingerUntil LingerUntil { get; set; }

    /// <summary>
    /// Gets or sets whether the peer's FIN ends only the input. When <see langword="true"/>, <c>ConnectionClosed</c> fires when the connection is
    /// really over (reset, aborted, closed); when <see langword="false"/>, as in Kestrel, also on the peer's FIN. Defaults to <see langword="false"/>.
    /// </summary>
    /// <remarks>A reset after the peer's FIN is noticed within a second.</remarks>
    public bool AllowHalfOpen { get; set; }

    /// <summary>
    /// Gets or sets whether a close request ends the input of a handler that waits for more with everything consumed: its read completes as if the peer
    /// had half-closed. Defaults to <see langword="true"/>. Turn it off for full-duplex protocols in which silence between reads is no message boundary.
    /// </summary>
    /// <remarks>Never applies to a handler that reads <c>IConnectionLifetimeNotificationFeature.ConnectionClosedRequested</c>: it is told, and trusted to end.</remarks>
    public bool EndInputOnCloseRequest { get; set; } = true;

    /// <summary>
    /// Gets or sets whether a handler that throws resets the connection, so that the peer cannot mistake a truncated reply for a complete one.
    /// When <see langword="false"/>, what the handler had flushed is delivered, then FIN. Defaults to <see langword="true"/>.
    /// </summary>
    /// <remarks>On a transport without a socket feature, bytes that were written and not flushed may be delivered too.</remarks>
    public bool AbortOnHandlerFault { get; set; } = true;

    /// <summary>Gets or sets how long no byte may go either way before the connection is requested to close. Defaults to <see langword="null"/>, never.</summary>
    /// <value><see langword="null"/>, or a positive, finite time. May be noticed late by a tenth of it, at most by a second; never early.</value>
    /// <remarks>Received bytes count when the handler reads them.</remarks>
    public TimeSpan? IdleTimeout { get; set; }

    /// <summary>Gets or sets how old a connection may become before it is requested to close. Defaults to <see langword="null"/>, any age.</summary>
    /// <value><see langword="null"/>, or a positive, finite time.</value>
    public TimeSpan? MaxConnectionAge { get; set; }

    /// <summary>
    /// Gets or sets the share of <see cref="MaxConnectionAge"/> by which each connection's own limit differs at most, up or down at random, so that reconnects spread.
    /// Defaults to 0.1.
    /// </summary>
    /// <value>At least 0 and less than 1.</value>
    public double MaxConnectionAgeJitter { get; set; } = 0.1; // As in gRPC's MAX_CONNECTION_AGE.

    /// <summary>
    /// Gets or sets a last message: called after the handler returned and before our FIN, when the server asked for the close. Defaults to <see langword="null"/>.
    /// </summary>
    /// <remarks>Its token is cancelled at <see cref="GoodbyeTimeout"/>. If it throws or does not end in time, the close goes on without it; what it had flushed is sent.</remarks>
    public Func<ConnectionContext, CloseReason, CancellationToken, ValueTask>? Goodbye { get; set; }

    /// <summary>Gets or sets the longest time for the goodbye, <see cref="GracefulConnectionHandler.SayGoodbyeAsync"/> and <see cref="Goodbye"/> together. Defaults to 1 second.</summary>
    /// <value>A positive, finite time.</value>
    public TimeSpan GoodbyeTimeout { get; set; } = TimeSpan.FromSeconds(1);
}
