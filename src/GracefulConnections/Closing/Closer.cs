using System.Net.Security;
using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Closing;

/// <summary>
/// Drives one connection to its end: it looks at the two directions, lets <see cref="CloseMachine"/> decide inside of a
/// short lock, and carries out what was decided. No foreign code runs under the lock, which is the closer itself,
/// because nobody else can reach it.
/// </summary>
/// <param name="connection">The connection.</param>
/// <param name="scope">What the connections of the endpoint share.</param>
/// <param name="outer">
/// The one that closes TCP around the TLS that this one closes: it ends the connection, and is the one that is counted
/// and logged.
/// </param>
internal sealed partial class Closer(
    ConnectionContext connection, CloseScope scope, Closer? outer = null)
    : WheelTarget, ITransportEvents
{
    private Activity _activity = new(scope.Time);
    private CloseProgress? _progress; // From the first event on.
    private Rarity? _rare;
    private bool _isInsideTls;

    public ReadPump Input { get; private set; } = null!;

    public TransportOutput Output { get; private set; } = null!;

    public CloseState State => Facts.State;

    /// <summary>Gets or sets whether the metrics count the connection as active.</summary>
    public bool IsCounted { get; set; }

    public bool IsCloseRequested => Facts.IsRequested;

    public CloseReason Reason => Facts.Reason;

    /// <summary>Gets how the handler has behaved so far.</summary>
    public ref Activity Activity => ref _activity;

    /// <summary>Gets what the connections of the endpoint share.</summary>
    public CloseScope Scope => scope;

    /// <summary>Gets whether the handler has said that a message is in hand.</summary>
    public bool HasOpenScope => BoundaryNow?.HasOpenScope == true;

    /// <summary>Gets what is known of the close, all of one moment.</summary>
    public CloseFacts Facts
    {
        get
        {
            Interleaving.Point();
            lock (this)
            {
                return _progress is { } progress ? progress.Facts : CloseFacts.Initial;
            }
        }
    }

    private CloseProgress Progress_NeedsLock => _progress ??= new CloseProgress(
        CloseFacts.Initial with { DiscardLimit = scope.Options.MaxLingerBytes ?? long.MaxValue });

    private BoundaryWatch Boundary => LazyInitializer.EnsureInitialized(
        ref Rare.Boundary, () => new BoundaryWatch(Input, Output, this, scope.Options));

    private Rarity Rare => LazyInitializer.EnsureInitialized(ref _rare);

    private TimeSpan Now => scope.Wheel.Now;

    private ConnectionContext Connection => connection;

    private bool IsAroundTls => outer is null && !_isInsideTls && connection.Find<SslStream>() is not null;

    public void Attach(ReadPump input, TransportOutput output)
    {
        (Input, Output) = (input, output);
        _isInsideTls = input.Kind == InputKind.Tls;
    }

    /// <summary>
    /// Calls <paramref name="over"/> once the handler has returned and its output has its end, or the connection has.
    /// </summary>
    public void OnOver(Action over)
    {
        Volatile.Write(ref Rare.Over, over);
        TellOver();
    }

    /// <summary>Asks for the close. The handler goes on until it notices.</summary>
    /// <returns><see langword="false"/> when it was asked before, or is closing already.</returns>
    public bool TryRequestClose(CloseReason reason)
    {
        var effects = Decide(CloseEvent.CloseRequested, See() with { Reason = reason });
        Carry(effects);
        return effects.HasFlag(CloseEffects.Requested);
    }

    /// <summary>
    /// After <see cref="TryRequestClose"/>: cancels the handler's read as soon as this is no middle of a message.
    /// </summary>
    /// <param name="closeRequested">The token of the exception that the handler gets.</param>
    public void CancelRead(CancellationToken closeRequested)
    {
        Boundary.Ask(closeRequested);
        OnWaiting();
    }

    /// <summary>
    /// Takes <see cref="CancelRead"/> back: the handler turned out to look after close requests itself.
    /// </summary>
    public void KeepInput() => BoundaryNow?.Keep();

    /// <summary>The handler has a message in hand: a close request waits for its end.</summary>
    public void BeginMessage() => Boundary.BeginMessage();

    /// <summary>The end of a message that <see cref="BeginMessage"/> began.</summary>
    public void EndMessage()
    {
        Boundary.EndMessage();
        OnWaiting();
    }

    /// <summary>Accepts no longer silence than this while lingering, from now on.</summary>
    public void CapLinger(TimeSpan cap) => Raise(
        CloseEvent.LingerCapped,
        new CloseObservation { Cap = cap == Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : cap });

    /// <summary>The handler has returned: what the peer sends from now on is discarded.</summary>
    /// <param name="reason">Why the close begins, unless a reason is known already.</param>
    /// <param name="inner">
    /// The one that closed TLS inside of this one: its close was the first part of this one's.
    /// </param>
    /// <param name="fault">What the handler threw, if the connection is to end by RST for it.</param>
    public void OnHandlerReturned(CloseReason reason, Closer? inner = null, Exception? fault = null)
    {
        NoteFault(fault);
        var seen = new CloseObservation
        {
            Reason = reason,
            Inner = inner?.Result,
            InnerSince = inner?.Facts.ClosingSince ?? TimeSpan.Zero,
        };
        var effects = Decide(CloseEvent.HandlerReturned, seen);
        if (outer is null && effects.HasFlag(CloseEffects.BeginClose)) // One that was aborted has closed already.
        {
            if (IsCounted)
            {
                scope.Metrics.CloseStarted(connection);
            }

            Log.Closing(scope.Logger, connection.ConnectionId, Reason);
        }

        if (IsForeign && effects.HasFlag(CloseEffects.BeginClose))
        {
            scope.Wheel.WatchFor(this, CloseDeadlines.LongestPoll); // The call that follows may hang.
        }

        if (!Output.CanHalfClose)
        {
            Input.Share(); // With the middleware to whose writer the output was left.
        }

        Guard(static (_, input) => input.Close(), Input);
    }

    /// <summary>
    /// Says the goodbye, if the server asked for the close and the connection can still be written to.
    /// </summary>
    public async ValueTask SayGoodbyeAsync(Func<CloseReason, CancellationToken, ValueTask> say)
    {
        // What comes before the goodbye, and the goodbye itself, may take long.
        Guard(static (_, input) => input.Discard(), Input);
        var goodbye = new Goodbye(Output, cancellation => say(Reason, cancellation), OnGoodbyeFaulted);
        Volatile.Write(ref Rare.Goodbye, goodbye); // Before the decisions: from then on it may begin or expire.
        await FlushedAsync(goodbye).ConfigureAwait(false);
        var effects = Decide(CloseEvent.GoodbyeBegan, default);
        if (!effects.HasFlag(CloseEffects.SayGoodbye))
        {
            return;
        }

        Carry(effects);
        if (!await goodbye.RunAsync().ConfigureAwait(false) && !Facts.IsFinal)
        {
            Log.GoodbyeTimedOut(scope.Logger, connection.ConnectionId, scope.Options.GoodbyeTimeout.TotalMilliseconds);
        }

        Raise(CloseEvent.GoodbyeEnded, default);
    }

    /// <summary>
    /// Ends the connection with RST; if only the time of a drain is up, without, where the kernel has all of it.
    /// </summary>
    public void Abort(bool isLimit = false)
    {
        if (isLimit)
        {
            OnServerStopping(); // Before the decision, because the server's own reset may come at the same moment.
        }

        Raise(isLimit ? CloseEvent.DrainTimedOut : CloseEvent.Abort, SeeEnd());
        GiveUpWaiting();
    }

    /// <summary>A newer lingering connection needs the place.</summary>
    public void Evict() => Raise(CloseEvent.Evicted, SeeEnd());

    /// <summary>
    /// The server is about to close the socket by FIN itself. If the input had ended well and nothing of ours was
    /// unsent, that is the graceful end of the connection.
    /// </summary>
    /// <param name="isAbort">Whether the handler wanted to abort it, behind its own FIN.</param>
    public void OnClosingByServer(bool isAbort = false)
    {
        var isInputOver = Input.End.EndHanded || connection.ConnectionClosed.IsCancellationRequested;
        var isWhole = !isAbort && isInputOver && !Input.End.ResetSeen && !Input.IsConnectionOver && !Output.HasUnsent;
        Raise(CloseEvent.ClosedByServer, SeeEnd() with { IsWhole = isWhole });
    }

    /// <summary>
    /// Sends the rest and our FIN, and waits for the end; <see cref="Result"/> says how it ended. Call it once, and
    /// await it once.
    /// </summary>
    public ValueTask CloseAsync(LeftOver leftOver)
    {
        var effects = Decide(CloseEvent.Sealed, new CloseObservation { LeftOver = leftOver });
        if (IsForeign && effects != CloseEffects.None)
        {
            Carry(CloseEffects.LookSoon); // The calls that follow may hang.
        }

        // Neither of the two without FIN sends one.
        var left = leftOver == LeftOver.SendThenClose ? LeftOver.SendThenReset : leftOver;
        Guard(static (closer, left) => closer.Output.Seal(left), left);
        Guard(static (_, input) => input.Discard(), Input);

        // Watching comes last, so that a connection that ends at once is never watched.
        Carry(effects);
        TellOver(); // The handler may have ended its output long ago.
        var end = _progress!.End;
        return Output.Ended.IsCompleted && Input.Kind == InputKind.Transport ? end : EndAsync(end);
    }

    // A background writer may still be blocked in a flush when the handler has returned. Two flushes at a time would
    // cost what it wrote, so the goodbye comes after it: within FlushStallTimeout, as every flush after a close
    // request.
    private Task FlushedAsync(Goodbye goodbye)
    {
        var effects = Decide(CloseEvent.FlushAwaited, See());
        if (effects == CloseEffects.None)
        {
            return Task.CompletedTask;
        }

        Carry(effects);
        return goodbye.Flushed.Task;
    }

    private void NoteFault(Exception? fault)
    {
        if (fault is not null)
        {
            Rare.Fault ??= fault;
        }
    }

    private void OnGoodbyeFaulted(Exception exception) =>
        Log.GoodbyeFaulted(scope.Logger, connection.ConnectionId, exception);

    // What few connections have: one that lingers for long does not pay for it.
    private sealed class Rarity
    {
        public BoundaryWatch? Boundary; // Most connections are never asked to close.
        public Goodbye? Goodbye;
        public Exception? Fault; // Why the connection ends by RST, where that is known.
        public TaskCompletionSource? GivenUp; // While foreign code holds the end.
        public volatile bool KeepsSocket; // The server stops, and resets what is left in the end.
        public KeptSocket? Kept;

        public Action? Over; // Called once.
    }
}
