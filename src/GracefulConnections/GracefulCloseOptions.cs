using Microsoft.AspNetCore.Connections;

namespace GracefulConnections;

/// <summary>
/// How one endpoint's connections end. Checked when the server starts; bad values stop it before it listens.
/// </summary>
/// <remarks>
/// Every time must be shorter than one day: in configuration a number alone, such as <c>10</c>, is ten days to .NET.
/// Write <c>00:00:10</c>.
/// </remarks>
public class GracefulCloseOptions
{
    /// <summary>
    /// Gets or sets the longest time without progress while output is undelivered. Every change of the kernel's send
    /// queue restarts it, so a slow reader is not a stalled one. Defaults to 1 minute.
    /// </summary>
    /// <value>
    /// A positive time, or <see cref="Timeout.InfiniteTimeSpan"/> for no limit but <see cref="CloseTimeout"/>, which
    /// then bounds the time without progress.
    /// </value>
    /// <remarks>
    /// Applies from the handler's return on; after a close request also to a write that the handler is blocked in.
    /// Progress is looked at every 10 to 250 milliseconds, so the end may be that much late, never early. If all output
    /// and the FIN behind it are in the kernel by then, the socket is closed and the kernel goes on delivering; else
    /// the connection is aborted. Inside of TLS it is aborted in both cases, because the kernel does not tell there.
    /// Where the kernel's send queue cannot be trusted, progress is bytes that the kernel accepted.
    /// </remarks>
    public TimeSpan FlushStallTimeout { get; set; } = TimeSpan.FromMinutes(1); // A reader may pause for half a minute.

    /// <summary>
    /// Gets or sets the longest silence to accept from the peer between the delivery of all output and the peer's FIN.
    /// Every received byte restarts it. Defaults to 5 seconds.
    /// </summary>
    /// <value>
    /// A positive time, or <see cref="Timeout.InfiniteTimeSpan"/> for no limit but <see cref="CloseTimeout"/>.
    /// </value>
    /// <remarks>
    /// Then the socket is closed, without RST. While draining, <see cref="ServerDrainOptions.LingerIdleTimeout"/> caps
    /// it. One more second is given, once, where bytes of the peer's wait unread in the kernel, or where this process
    /// did not run for a second or longer.
    /// </remarks>
    public TimeSpan LingerIdleTimeout { get; set; } = TimeSpan.FromSeconds(5); // Matches nginx's lingering_timeout.

    /// <summary>
    /// Gets or sets the longest time for the close, whatever the peer does: from the delivery of all output to the end,
    /// and for a flush that makes no progress. A flush that makes progress is not cut. Defaults to 2 minutes.
    /// </summary>
    /// <value>A positive, finite time.</value>
    /// <remarks>
    /// It also bounds code of others that ignores its cancellation, such as another middleware's stream: from the
    /// handler's return on, the connection waits so long for it, and then goes back to the server with a Warning.
    /// </remarks>
    public TimeSpan CloseTimeout { get; set; } = TimeSpan.FromMinutes(2); // Four times nginx's lingering_time.

    /// <summary>
    /// Gets or sets the most bytes to discard after this side's FIN; one more ends the close. Defaults to
    /// <see langword="null"/>, no limit.
    /// </summary>
    /// <value><see langword="null"/>, or zero or more bytes.</value>
    public long? MaxLingerBytes { get; set; }

    /// <summary>
    /// Gets or sets the most connections of the endpoint that may linger at a time; beyond it the one that lingers
    /// longest is closed. Defaults to <see langword="null"/>: as many as Kestrel's
    /// <c>Limits.MaxConcurrentConnections</c>, or no limit where that has none.
    /// </summary>
    /// <value><see langword="null"/>, or one or more connections.</value>
    public int? MaxLingeringConnections { get; set; }

    /// <summary>Gets or sets what ends a linger well. Defaults to <see cref="LingerUntil.PeerFin"/>.</summary>
    public LingerUntil LingerUntil { get; set; }

    /// <summary>
    /// Gets or sets whether the peer's FIN ends only the input. When <see langword="true"/>, <c>ConnectionClosed</c>
    /// fires when the connection is really over (reset, aborted, closed); when <see langword="false"/>, as in Kestrel,
    /// also on the peer's FIN. Defaults to <see langword="false"/>.
    /// </summary>
    /// <remarks>A reset after the peer's FIN is noticed within a second.</remarks>
    public bool AllowHalfOpen { get; set; }

    /// <summary>
    /// Gets or sets whether a close request cancels the read of a handler that waits for the next message. The read,
    /// and every later one, throws <see cref="OperationCanceledException"/> with the token
    /// <see cref="IGracefulCloseFeature.CloseRequested"/>; it never looks like the peer's end of the stream. Defaults
    /// to <see langword="true"/>. When <see langword="false"/>, the token is all that the handler sees.
    /// </summary>
    /// <remarks>
    /// <para>
    /// A read is cancelled only at a moment that is no middle of a message: between two scopes of
    /// <see cref="IGracefulCloseFeature.BeginMessage"/>, or, for a handler that does not use them, when everything is
    /// consumed, everything written was sent, and there was silence for <see cref="QuietTime"/> or
    /// <see cref="MessageGap"/>. A handler that waits for the rest of a message and has left its begin in the pipe is
    /// ended by a drain's deadline, or, where there is none, after silence for <see cref="MessageGap"/>. A connection
    /// that never is at such a moment goes on until its handler looks at the token, or until a drain's deadline.
    /// </para>
    /// <para>
    /// What the peer sends later is discarded. The exception that leaves the handler counts as a normal return. If the
    /// handler had not answered what it read last, the connection ends with RST behind everything that it wrote, else
    /// with FIN.
    /// </para>
    /// <para>
    /// Of the reads after the cancelled one, the first two throw at once and every later one after 1 second, so that a
    /// loop which catches the exception and reads again does not spin.
    /// </para>
    /// <para>
    /// Never applies to a handler that reads <c>IConnectionLifetimeNotificationFeature.ConnectionClosedRequested</c>:
    /// it is told, and trusted to end.
    /// </para>
    /// </remarks>
    public bool CancelReadOnCloseRequest { get; set; } = true;

    /// <summary>
    /// Gets or sets for how long a peer counts as being in the middle of a message after it connected or sent
    /// something. Defaults to 1 second.
    /// </summary>
    /// <value>Zero or more, and finite.</value>
    /// <remarks>
    /// After a close request, the read of a handler that has answered everything, or that was never handed a byte, is
    /// not cancelled before. For one that has answered everything, a request older than <see cref="MessageGap"/> is
    /// enough, however often its peer sends. The time counts from the last byte and not from the request: a peer that
    /// is quiet anyway is not waited for.
    /// </remarks>
    public TimeSpan QuietTime { get; set; } = TimeSpan.FromSeconds(1); // Linux repeats lost bytes after 0.2 and 0.6 s.

    /// <summary>
    /// Gets or sets the silence, of the peer and of the handler, after which bytes that nobody answered are not
    /// followed by more. Defaults to 5 seconds.
    /// </summary>
    /// <value>At least <see cref="QuietTime"/>, and finite.</value>
    /// <remarks>
    /// Applies after a close request to a handler that has not answered what it read last, that has ever flushed while
    /// its own read was pending, or that is TLS outside of which the connection is closed; and, unless a drain or the
    /// host's stop requested the close, to one that has left a part of a message in the pipe. If input was unanswered
    /// then, the connection ends with RST behind everything that the handler wrote, so that no peer takes a part for
    /// the whole. What cannot be known: a reply that takes longer than this to compute, beside a read that is pending,
    /// looks like silence. Use <see cref="IGracefulCloseFeature.BeginMessage"/> there.
    /// </remarks>
    public TimeSpan MessageGap { get; set; } = TimeSpan.FromSeconds(5); // As LingerIdleTimeout: by then it is an end.

    /// <summary>
    /// Gets or sets whether a handler that throws ends its connection with RST, so that the peer cannot mistake a
    /// truncated reply for a complete one. Defaults to <see langword="false"/>: it ends by FIN, as on stock Kestrel.
    /// Everything that it wrote, flushed or not, is delivered first, in both cases.
    /// </summary>
    /// <remarks>
    /// The RST comes up to 1 second after the last acknowledgement, so that the peer's program can read what came
    /// before. Where a part is known to be missing, RST comes without this option too: an open
    /// <see cref="MessageScope"/>, a close request that had to cancel a read while input was unanswered, and an output
    /// that was completed with an exception while something may be missing.
    /// </remarks>
    public bool AbortOnHandlerFault { get; set; }

    /// <summary>
    /// Gets or sets how long no byte may go either way, while the handler waits in a read, before the connection is
    /// requested to close. Defaults to <see langword="null"/>, never.
    /// </summary>
    /// <value>
    /// <see langword="null"/>, or a positive, finite time. May be noticed late by a tenth of it, at most by a second;
    /// never early.
    /// </value>
    /// <remarks>
    /// A handler that computes, or that waits for something else than the peer, is busy and not idle. The request is
    /// one like every other: <see cref="CancelReadOnCloseRequest"/> says what the handler sees.
    /// </remarks>
    public TimeSpan? IdleTimeout { get; set; }

    /// <summary>
    /// Gets or sets how old a connection may become before it is requested to close. Defaults to
    /// <see langword="null"/>, any age.
    /// </summary>
    /// <value><see langword="null"/>, or a positive, finite time.</value>
    public TimeSpan? MaxConnectionAge { get; set; }

    /// <summary>
    /// Gets or sets the share of <see cref="MaxConnectionAge"/> by which each connection's own limit differs at most,
    /// up or down at random, so that reconnects spread. Defaults to 0.1.
    /// </summary>
    /// <value>At least 0 and less than 1.</value>
    public double MaxConnectionAgeJitter { get; set; } = 0.1; // As in gRPC's MAX_CONNECTION_AGE.

    /// <summary>
    /// Gets or sets a last message: called after the handler returned and before this side's FIN, when the server asked
    /// for the close. Defaults to <see langword="null"/>.
    /// </summary>
    /// <remarks>
    /// A flush that is still pending when the handler returns is waited for first. The token is cancelled at
    /// <see cref="GoodbyeTimeout"/>. If the goodbye throws or does not end in time, the close goes on without it; what
    /// it had flushed is sent.
    /// </remarks>
    public Func<ConnectionContext, CloseReason, CancellationToken, ValueTask>? Goodbye { get; set; }

    /// <summary>
    /// Gets or sets the longest time for the goodbye, <see cref="GracefulConnectionHandler.SayGoodbyeAsync"/> and
    /// <see cref="Goodbye"/> together. Defaults to 1 second.
    /// </summary>
    /// <value>A positive, finite time.</value>
    public TimeSpan GoodbyeTimeout { get; set; } = TimeSpan.FromSeconds(1);

    internal GracefulCloseOptions ForUpstream()
    {
        var options = (GracefulCloseOptions)MemberwiseClone();
        options.AllowHalfOpen = true;
        options.CancelReadOnCloseRequest = false;
        options.IdleTimeout = null;
        options.MaxConnectionAge = null;
        options.Goodbye = null; // It is for peers of the endpoint.
        return options;
    }
}
