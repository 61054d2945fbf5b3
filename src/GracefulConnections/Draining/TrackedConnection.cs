namespace GracefulConnections.Draining;

/// <summary>
/// A connection as the drain sees it. Nothing here blocks or runs the application's code: a drain asks thousands in a
/// row.
/// </summary>
internal abstract class TrackedConnection
{
    /// <summary>Gets where the connection is on its way to its end.</summary>
    public abstract CloseState State { get; }

    /// <summary>Gets how the connection ended; <see langword="null"/> while it has not.</summary>
    public abstract CloseResult? Result { get; }

    /// <summary>Gets whether the handler has something in hand.</summary>
    public abstract bool IsBusy { get; }

    /// <summary>Gets when the connection came, as a timestamp of the clock.</summary>
    public abstract long StartTimestamp { get; }

    public abstract TrackedConnectionInfo GetInfo();

    /// <summary>
    /// Asks the connection to close, and its peer not to take longer than the cap for its FIN. The first reason wins.
    /// </summary>
    public abstract void Ask(CloseReason reason, TimeSpan lingerCap);

    /// <summary>Ends the connection with RST. The reason is that of a connection which was not asked before.</summary>
    public abstract void Abort(CloseReason reason);

    /// <summary>
    /// Lets the server go on without the handler, which ignores its abort. What it may still write to stays out of the
    /// memory pool, but what it may still read from is the server's and goes back: only for a process that is about to
    /// exit.
    /// </summary>
    public abstract void Abandon();
}
