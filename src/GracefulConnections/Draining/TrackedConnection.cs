namespace GracefulConnections.Draining;

/// <summary>
/// A connection as the drain sees it. Nothing here blocks or runs the application's code, because a drain asks
/// thousands in a row.
/// </summary>
internal abstract class TrackedConnection
{
    /// <summary>The connection whose handler is the caller, on whatever thread it has gone on.</summary>
    public static readonly AsyncLocal<TrackedConnection?> Caller = new();

    private Tuple<Batch, TrackedConnectionInfo>? _abort;

    public abstract string Id { get; }

    public abstract CloseState State { get; }

    /// <summary>Gets how the connection ended; <see langword="null"/> while it has not.</summary>
    public abstract CloseResult? Result { get; }

    public abstract ConnectionActivity Activity { get; }

    /// <summary>Gets whether the server made the connection, instead of accepting it.</summary>
    public bool IsOutgoing { get; init; }

    /// <summary>Gets or sets where the registry has the connection; negative where it does not.</summary>
    public int Place_NeedsLock { get; set; } = -1;

    /// <summary>Gets when the connection came, as a timestamp of the clock.</summary>
    public abstract long StartTimestamp { get; }

    public abstract TrackedConnectionInfo GetInfo();

    /// <summary>
    /// Asks the connection to close, and its peer not to take longer than the cap for its FIN. The first reason wins.
    /// </summary>
    public abstract void Ask(CloseReason reason, TimeSpan lingerCap);

    /// <summary>Ends the connection on this thread, because every thread of the pool may be blocked.</summary>
    /// <param name="reason">The reason of a connection that was not asked before.</param>
    /// <param name="isLimit">
    /// Whether the kernel may go on delivering, if it has all output and the FIN behind it. Else it ends with RST.
    /// </param>
    public abstract void Abort(CloseReason reason, bool isLimit);

    /// <summary>Ends the connection because the time of a batch is up.</summary>
    public void Abort(CloseReason reason, Batch batch)
    {
        // Before the abort, because an aborted socket tells nothing.
        Interlocked.CompareExchange(ref _abort, Tuple.Create(batch, GetInfo()), null);
        Abort(reason, isLimit: true);
    }

    /// <summary>Returns what the connection was like before the batch aborted it, if none had done so before.</summary>
    public TrackedConnectionInfo? GetInfoBeforeAbort(Batch batch) =>
        Volatile.Read(ref _abort) is { } abort && abort.Item1 == batch ? abort.Item2 : null;

    /// <summary>
    /// Lets the server go on without the handler, which ignores its abort. What it may still write to stays out of the
    /// memory pool, but what it may still read from is the server's and goes back: only for a process that is about to
    /// exit.
    /// </summary>
    public abstract void Abandon();
}
