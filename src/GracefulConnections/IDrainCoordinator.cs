using System.Diagnostics.CodeAnalysis;

namespace GracefulConnections;

/// <summary>
/// All connections of the host's endpoints with <c>UseGracefulShutdown()</c>, and the drain that empties the host, or a
/// part of it, of them. A singleton in the service container after <c>AddGracefulShutdown()</c>; every member is safe
/// to use from any thread.
/// </summary>
public interface IDrainCoordinator
{
    private const string OverloadsDiffer = "The filter is required, so no call fits both.";

    /// <summary>Gets how far the whole server is. Only moves forward; a drain of a part does not change it.</summary>
    DrainPhase Phase { get; }

    /// <summary>
    /// Gets a token that is cancelled when the drain of the whole server is announced: stop producing, the server still
    /// serves for <see cref="ServerDrainOptions.AnnounceDelay"/>.
    /// </summary>
    CancellationToken DrainAnnounced { get; }

    /// <summary>
    /// Gets a token that is cancelled when the announcement of the drain of the whole server is over: the drain steps
    /// run (<c>AddDrainStep</c>), then connections are asked to close.
    /// </summary>
    /// <remarks>
    /// The callbacks of both tokens run on the thread pool. The drain waits for them, but for a second at most.
    /// </remarks>
    CancellationToken DrainStarted { get; }

    /// <summary>Gets the number of connections whose handler or close has not ended.</summary>
    int ConnectionCount { get; }

    /// <summary>
    /// Takes a snapshot of all connections, in no particular order. Costs less than a microsecond a connection, and one
    /// question to the kernel for each whose output is not known to be delivered.
    /// </summary>
    /// <returns>A list of its own for every call.</returns>
    IReadOnlyList<TrackedConnectionInfo> GetConnections();

    /// <summary>Ends one connection with RST now.</summary>
    /// <param name="connectionId">The connection's id, as in the snapshot and in the server's log.</param>
    /// <returns>
    /// <see langword="false"/> when there is no such connection, or it has ended and only its handler is left.
    /// </returns>
    /// <remarks>The reason of its close is <see cref="CloseReason.Application"/>, if it was not asked before.</remarks>
    /// <exception cref="ArgumentNullException"><paramref name="connectionId"/> is <see langword="null"/>.</exception>
    bool Abort(string connectionId);

    /// <summary>
    /// Drains the whole server as a host's stop does: announces, waits <see cref="ServerDrainOptions.AnnounceDelay"/>,
    /// runs the drain steps, asks every connection to close, and aborts what is left at
    /// <see cref="ServerDrainOptions.DrainTimeout"/>.
    /// Happens once: every call, and a host's stop, waits for the same drain and gets the same report. The server goes
    /// on accepting, and asks each new connection to close at once. What a handler sees then says
    /// <see cref="GracefulCloseOptions.CancelReadOnCloseRequest"/>.
    /// </summary>
    /// <param name="cancellationToken">Ends the wait of this caller. The drain goes on.</param>
    /// <returns>
    /// The report, when the last connection has ended, or half a second after the rest was aborted: a handler that
    /// ignores its abort is left running. At a host's stop the process exits without it.
    /// </returns>
    /// <remarks>
    /// Called inside a connection's handler, it does not wait for that connection, which waits for it: that one is
    /// asked as well, but is not in the report that the handler gets, and a Warning says so.
    /// </remarks>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    [SuppressMessage("ApiDesign", "RS0026", Justification = OverloadsDiffer)]
    Task<DrainReport> DrainAsync(CancellationToken cancellationToken = default);

    /// <summary>
    /// Drains a part of the server, at any time and as often as wanted, while the rest goes on: connections of one
    /// endpoint, older ones, certain ones. The same schedule and deadline, without an announcement.
    /// </summary>
    /// <param name="filter">Chooses from a snapshot. A connection that arrives later is not asked.</param>
    /// <param name="options">
    /// How this drain differs from <see cref="ServerDrainOptions"/>. <see langword="null"/>: in nothing.
    /// </param>
    /// <param name="cancellationToken">Ends the wait of this caller. The drain goes on.</param>
    /// <returns>The report of this part.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="filter"/> is <see langword="null"/>.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    /// <remarks>
    /// What the filter throws comes out of the returned task; then nothing was asked to close. Called inside the
    /// handler of a connection that was chosen, it does not wait for that one, as the drain of the whole server.
    /// </remarks>
    [SuppressMessage("ApiDesign", "RS0026", Justification = OverloadsDiffer)]
    Task<DrainReport> DrainAsync(
        Func<TrackedConnectionInfo, bool> filter,
        DrainOptions? options = null,
        CancellationToken cancellationToken = default);
}
