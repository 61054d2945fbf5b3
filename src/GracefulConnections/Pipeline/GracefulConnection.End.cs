using System.Net.Security;
using System.Runtime.ExceptionServices;
using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Pipeline;

/// <content>What happens when the handler has ended.</content>
internal sealed partial class GracefulConnection
{
    /// <summary>Gets whether the library aborted the connection, and not the peer.</summary>
    public bool IsAbortedHere => State == CloseState.Aborted && !Input.End.ResetSeen;

    /// <summary>Gets whether the handler is over, by its return or because somebody disposed the connection.</summary>
    public bool IsEnding => _isHandlerOver;

    // By the handler: nobody can say close_notify any more.
    private bool IsTlsDisposed =>
        _isInsideTls && _connection.Find<SslStream>() is { IsAuthenticated: false };

    // Without the library no close request cancels a read. So where nothing was cut off, nobody is told of it. But a
    // handler that listens to the server's own request is cancelled without the library, too.
    private bool IsCancelledAtBoundary => !_isAware
        && EndKind(isFault: true) == LeftOver.Send
        && (Input.IsRefused || !Activity.IsUnanswered);

    private Rarity Rare => LazyInitializer.EnsureInitialized(ref _rare);

    private TaskCompletionSource<Task> Disposal => LazyInitializer.EnsureInitialized(
        ref Rare.Disposal, static () => new(TaskCreationOptions.RunContinuationsAsynchronously));

    private Func<ConnectionContext, CloseReason, CancellationToken, ValueTask>? Goodbye =>
        _rare?.Goodbye ?? Scope.Options.Goodbye;

    /// <summary>
    /// Accepts no longer silence than this while lingering, from now on. With TLS between two of them, both wait for
    /// the same silent peer.
    /// </summary>
    public void CapLinger(TimeSpan cap)
    {
        Closer.CapLinger(cap);
        Inner?.Closer.CapLinger(cap);
    }

    /// <summary>Adds the handler's own goodbye, said before the endpoint's.</summary>
    public void AddGoodbye(Func<ConnectionContext, CloseReason, CancellationToken, ValueTask> goodbye)
    {
        var endpoints = Goodbye;
        Rare.Goodbye = endpoints is null
            ? goodbye
            : async (connection, reason, cancellationToken) =>
            {
                await goodbye(connection, reason, cancellationToken).ConfigureAwait(false);
                await endpoints(connection, reason, cancellationToken).ConfigureAwait(false);
            };
    }

    /// <summary>Closes after the handler returned, or ended by an exception that is as good as a return.</summary>
    /// <param name="end">That exception.</param>
    public ValueTask CloseAsync(Exception? end = null)
    {
        if (!TryBeginClose())
        {
            return new ValueTask(Disposal.Task.Unwrap());
        }

        var reason = Input.End.ResetSeen ? CloseReason.PeerReset : CloseReason.HandlerCompleted;
        return CloseAsync(reason, EndKind(isFault: end is not null), end);
    }

    /// <summary>Closes after the handler threw.</summary>
    public ValueTask CloseFaultedAsync(Exception exception)
    {
        if (!TryBeginClose())
        {
            return new ValueTask(Disposal.Task.Unwrap());
        }

        // By that exception a handler learns that the application aborted the connection under it.
        var reason = exception is ConnectionAbortedException ? CloseReason.Application : CloseReason.HandlerFaulted;

        // One that has closed gracefully inside of TLS was told to, although its handler threw.
        var end = EndKind(isFault: true);
        if (end == LeftOver.Send && Inner is not { State: CloseState.Closed })
        {
            end = Scope.Options.AbortOnHandlerFault ? LeftOver.SendThenReset
                : Closer.IsFaultTheServersToTell ? LeftOver.SendThenClose
                : end;
        }

        // No goodbye: nobody knows in the middle of what it threw.
        return CloseAsync(reason, end, exception, saysGoodbye: false);
    }

    /// <summary>Sends what was written before the library took the connection over, ahead of the handler's.</summary>
    public async ValueTask SendEarlierAsync()
    {
        var earlier = _originalTransport.Output;
        if (Output is not SendLoop || !EarlierWrites.AreIn(earlier))
        {
            return; // Of other outputs that writer itself is the way.
        }

        try
        {
            await EarlierWrites.SendAsync(earlier, _connection, Scope.Time).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            // Whatever an unknown stream throws is how this connection ended: nothing may follow what is missing.
            Closer.OnFaulted(exception);
        }
    }

    /// <summary>Closes after the handler's end.</summary>
    /// <param name="end">The exception by which it ended, if so.</param>
    /// <param name="isFault">Whether that was a fault of the handler's.</param>
    public ValueTask CloseAsync(Exception? end, bool isFault) => isFault ? CloseFaultedAsync(end!) : CloseAsync(end);

    /// <summary>
    /// Notices the peer's reset where no read and no send is under way that would be told. Then the connection ends.
    /// </summary>
    public void NoticeReset()
    {
        if (Input.HasUnnoticedReset)
        {
            Closer.OnFaulted(
                new ConnectionResetException("The peer reset the connection while nothing was read or sent."));
        }
    }

    /// <summary>
    /// Returns whether <paramref name="exception"/> is how the handler was told that its connection has ended. Then it
    /// is no fault of the handler's, but as good as a return.
    /// </summary>
    public bool IsEndOfConnection(Exception exception)
    {
        if (IsCloseRequested
            && ExceptionChain.Contains(exception, static inner => inner is OperationCanceledException))
        {
            return true;
        }

        if (ReferenceEquals(exception, Inner?._rare?.End))
        {
            return true; // The one inside of TLS has passed it on.
        }

        if (Input.End.EndHanded && ExceptionChain.IsOrHolds<EndOfStreamException>(exception))
        {
            return true;
        }

        return (Input.End.ResetSeen || State == CloseState.Aborted)
            && ExceptionChain.Contains(
                exception,
                inner => inner is ConnectionResetException or ConnectionAbortedException
                    || ReferenceEquals(inner, Input.End.ResetException));
    }

    /// <summary>
    /// Returns whether the handler, which has completed, ended by nothing but the cancellation that a close request is.
    /// A drain brings it to thousands, and to throw it once more, only to catch it, costs as much as a system call.
    /// </summary>
    public bool IsEndAsAsked(Task handler) => handler.IsCanceled
        && IsCloseRequested
        && EndKind(isFault: true) == LeftOver.Send
        && (!_hasForeignBefore || IsCancelledAtBoundary)
        && !Scope.Logger.IsEnabled(LogLevel.Debug); // Who reads the log wants to know where the handler was.

    /// <summary>
    /// Notes an exception that <see cref="IsEndOfConnection"/> accepts, before the close. A middleware before this one
    /// sees it without the library, and may undo then what the handler has not finished.
    /// </summary>
    public void NoteEnd(Exception end)
    {
        if (_hasForeignBefore
            && !(IsCloseRequested && IsCancelledAtBoundary
                && ExceptionChain.Contains(end, static inner => inner is OperationCanceledException)))
        {
            Rare.End = end;
        }
    }

    /// <summary>Throws what <see cref="NoteEnd"/> noted for the middlewares before this one.</summary>
    public void ThrowEnd()
    {
        if (_rare?.End is { } end)
        {
            ExceptionDispatchInfo.Throw(end);
        }
    }

    /// <summary>Closes after the handler was abandoned. What it wrote to stays out of the memory pool.</summary>
    public ValueTask CloseAbandonedAsync()
    {
        OnHandlerBack(); // As far as anybody here waits for it.
        Closer.OnHandlerReturned(CloseReason.HostStopping);
        _rare?.Limits?.Stop();
        Closer.Abort();
        return TryBeginClose() ? Tell(Closer.CloseAsync(LeftOver.Abandon)) : new ValueTask(Disposal.Task.Unwrap());
    }

    // Where a part is known to be missing, nothing may look like a complete end.
    private LeftOver EndKind(bool isFault) =>
        Input.IsCutOff || (isFault && Closer.HasOpenScope) ? LeftOver.SendThenReset : LeftOver.Send;

    // Of the handler's end and of its disposals only the first closes: the end of a close can be awaited once.
    private bool TryBeginClose()
    {
        Interleaving.Point();
        return !Interlocked.Exchange(ref _isHandlerOver, true);
    }

    // The server may call back while a close is under way, and waits for it then.
    private ValueTask Tell(ValueTask close)
    {
        if (!_isToldOfReturn)
        {
            return close;
        }

        var closing = close.AsTask();
        Disposal.TrySetResult(closing);
        return new ValueTask(closing);
    }

    private ValueTask CloseAsync(CloseReason reason, LeftOver leftOver, Exception? fault, bool saysGoodbye = true) =>
        Tell(BeginCloseAsync(reason, leftOver, fault, saysGoodbye));

    private ValueTask BeginCloseAsync(CloseReason reason, LeftOver leftOver, Exception? fault, bool saysGoodbye)
    {
        if (leftOver == LeftOver.Send && IsTlsDisposed)
        {
            leftOver = LeftOver.SendThenClose;
        }

        Closer.OnHandlerReturned(reason, Inner?.Closer, leftOver == LeftOver.SendThenReset ? fault : null);
        _rare?.Limits?.Stop();
        if (Goodbye is not { } goodbye || !saysGoodbye || !IsCloseRequested)
        {
            return Closer.CloseAsync(leftOver);
        }

        if (!IsAroundTls)
        {
            return CloseWithGoodbyeAsync(goodbye, leftOver);
        }

        if (Inner is null)
        {
            Log.GoodbyeOutsideTls(Scope.Logger, _connection.ConnectionId); // Here it would be plaintext.
        }

        return Closer.CloseAsync(leftOver);
    }

    private async ValueTask CloseWithGoodbyeAsync(
        Func<ConnectionContext, CloseReason, CancellationToken, ValueTask> goodbye, LeftOver leftOver)
    {
        await Closer.SayGoodbyeAsync(SayAsync).ConfigureAwait(false);
        await Closer.CloseAsync(leftOver).ConfigureAwait(false);

        async ValueTask SayAsync(CloseReason reason, CancellationToken cancellationToken)
        {
            if (Member is not null)
            {
                // As the handler: one that blocks its thread must not hold a host that stops.
                await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                if (cancellationToken.IsCancellationRequested)
                {
                    return; // No thread was free for it before its time was up.
                }
            }

            await goodbye(this, reason, cancellationToken).ConfigureAwait(false);
        }
    }

    // What few connections have: an idle one does not pay for it.
    private sealed class Rarity
    {
        public LifetimeLimits? Limits;
        public HalfOpenToken? HalfOpen;
        public ClosedToken? Closed; // Most handlers never need it.
        public bool IsClosedTokenSet;
        public TaskCompletionSource<Task>? Disposal; // Told of a close for which somebody else may wait.
        public Func<Task>? LeftClose; // The one that is to come when the middlewares before have returned.
        public Task? Ending; // By the server's call then.
        public bool HasClosedLater;
        public bool WasAware; // Before the handler returned.
        public Exception? End; // The handler's, which goes on to the middlewares before.
        public object? Tag;
        public object? NotificationOverride; // A boxed token, so that no thread sees a half of it.
        public Func<ConnectionContext, CloseReason, CancellationToken, ValueTask>? Goodbye;
    }
}
