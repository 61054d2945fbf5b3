using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Closing;

/// <content>What is done once it was decided.</content>
internal sealed partial class Closer
{
    private const CloseEffects AnyWatch = CloseEffects.Wake | CloseEffects.LookSoon | CloseEffects.LookLater;

    // The limit of a server's places is nothing to the connections of another server.
    private bool IsLingerLimited =>
        scope.Options.MaxLingeringConnections is not null || ConnectionPlace.Has(connection);

    private BoundaryWatch? BoundaryNow =>
        Volatile.Read(ref _rare) is { } rare ? Volatile.Read(ref rare.Boundary) : null;

    private Goodbye? GoodbyeNow => Volatile.Read(ref _rare) is { } rare ? Volatile.Read(ref rare.Goodbye) : null;

    /// <summary>Gets how the connection ended; <see langword="null"/> while it has not.</summary>
    public CloseResult? Result
    {
        get
        {
            lock (this)
            {
                return _progress is { IsFinished: true } progress ? progress.Facts.Result : null;
            }
        }
    }

    public Task<CloseResult> Closed
    {
        get
        {
            lock (this)
            {
                var progress = Progress_NeedsLock;
                progress.Closed ??= new(TaskCreationOptions.RunContinuationsAsynchronously);
                if (progress.IsFinished)
                {
                    progress.Closed.TrySetResult(progress.Facts.Result);
                }

                return progress.Closed.Task;
            }
        }
    }

    /// <param name="effects">What was decided.</param>
    /// <param name="endHere">
    /// Whether the one who waits for the end may go on on this thread, else on the thread pool.
    /// </param>
    private void Carry(CloseEffects effects, bool endHere = false)
    {
        if (effects == CloseEffects.None)
        {
            return;
        }

        if (effects.HasFlag(CloseEffects.Look))
        {
            LookAtDelivery(Now, isScheduled: false, endHere);
        }

        if (effects.HasFlag(CloseEffects.ReleaseFlush))
        {
            GoodbyeNow?.Flushed.TrySetResult();
        }

        if (effects.HasFlag(CloseEffects.ExpireGoodbye))
        {
            GoodbyeNow?.Expire();
        }

        if (effects.HasFlag(CloseEffects.End))
        {
            Finish(endHere);
        }
        else if (effects.HasFlag(CloseEffects.Linger) && IsLingerLimited && scope.Lingering is { } queue)
        {
            EnterLinger(queue);
        }
        else if ((effects & AnyWatch) != 0 && !Facts.IsFinal)
        {
            // One that ends right now is forgotten by its next look.
            var wait = effects.HasFlag(CloseEffects.Wake) ? TimeSpan.Zero
                : effects.HasFlag(CloseEffects.LookSoon) ? CloseDeadlines.ShortestPoll
                : CloseDeadlines.LongestPoll;
            scope.Wheel.WatchFor(this, wait);
        }
    }

    private void EnterLinger(LingeringQueue queue)
    {
        var node = queue.Enter(this);
        Interleaving.Point();
        lock (this)
        {
            var progress = Progress_NeedsLock;
            progress.Lingering = node;
            if (!progress.Facts.IsFinal)
            {
                return;
            }
        }

        queue.Leave(node);
    }

    private void Finish(bool endHere)
    {
        CloseProgress progress;
        CloseFacts facts;
        LinkedListNode<Closer>? lingering;
        var discardedBytes = Input.DiscardedBytes;
        Interleaving.Point();
        lock (this)
        {
            progress = Progress_NeedsLock;
            facts = progress.Facts = CloseMachine.Finish(progress.Facts, discardedBytes);
            lingering = progress.Lingering;
        }

        var lostBytes = facts.Result.UnacknowledgedBytes ?? Output.WrittenBytes - Output.SentBytes;
        scope.Wheel.Unwatch(this);
        if (lingering is not null)
        {
            scope.Lingering!.Leave(lingering);
        }

        LeaveToKernel(facts);
        if (facts.State == CloseState.Aborted)
        {
            AbortTransport(facts);
        }
        else if (facts.Result.Outcome == CloseOutcome.LeftToServer)
        {
            Guard(static (closer, resets) => closer.Output.Abort(resets), false); // A flush may be pending.
        }

        if (outer is null)
        {
            Report(facts, lostBytes);
        }

        TellOver();
        TaskCompletionSource<CloseResult>? closed;
        Interleaving.Point();
        lock (this)
        {
            // Last, because whoever waits for the end may dispose the socket, and must not come before our RST.
            progress.IsFinished = true;
            closed = progress.Closed;
        }

        GoodbyeNow?.Expire(); // Nobody is left to say it to, and no look will come.
        GoodbyeNow?.Flushed.TrySetResult();
        closed?.TrySetResult(facts.Result);
        progress.SetEnd(endHere);
    }

    private void AbortTransport(in CloseFacts facts)
    {
        var isKept = false;
        if (facts.Result.Outcome == CloseOutcome.PeerReset)
        {
            var kept = (connection as ISocketOwner)?.KeepInput();
            isKept = kept is not null;
            Input.OnPeerReset(kept ?? connection.ConnectionClosed.IsCancellationRequested, isKept);
        }

        var aborts = !facts.LeavesTransport;
        Guard(static (closer, resets) => closer.Output.Abort(resets), aborts);

        // The one inside of TLS had to abort: the outer one ends in the same way.
        outer?.Raise(CloseEvent.InnerAborted, new CloseObservation { Inner = facts.Result });
        if (aborts && !isKept)
        {
            Guard(static (closer, reason) => closer.Connection.Abort(reason), CreateAbortReason());
        }
    }

    private void Report(in CloseFacts facts, long lostBytes)
    {
        var result = facts.Result;
        scope.Metrics.Closed(connection, result, IsCounted, facts.HandlerReturned);
        Log.Closed(
            scope.Logger,
            connection.ConnectionId,
            result.Outcome,
            result.Reason,
            result.Duration.TotalMilliseconds,
            result.DiscardedBytes,
            result.UnacknowledgedBytes);
        if (lostBytes > 0 && CloseMachine.IsLoss(facts) && scope.LossLimiter.TryPass(Now, out var leftOutCount))
        {
            Log.OutputLost(
                scope.Logger,
                connection.ConnectionId,
                lostBytes,
                PeerText.Spell(connection.RemoteEndPoint),
                result.Outcome,
                result.Reason,
                leftOutCount);
        }
    }

    private ConnectionAbortedException CreateAbortReason()
    {
        var result = Facts.Result;
        var message = $"The connection was closed: {result.Outcome} ({result.Reason}).";
        return _rare?.Fault is not { } fault
            ? new ConnectionAbortedException(message)
            : new ConnectionAbortedException($"{message} {fault.GetType().Name}: {fault.Message}", fault);
    }

    // Whoever stands below takes its memory back when control returns to it, so it should not be in use any more. But
    // code that nobody knows, and that ignores its cancellation, holds the close within its limit only.
    private async ValueTask EndAsync(ValueTask end)
    {
        await end.ConfigureAwait(false);
        var left = Input.Kind == InputKind.Transport ? Output.Ended : Task.WhenAll(Output.Ended, Input.StopAsync());
        if (left.IsCompleted)
        {
            return;
        }

        var givenUp = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Volatile.Write(ref Rare.GivenUp, givenUp);
        var since = Facts.ClosingSince;
        var rest = scope.Options.CloseTimeout - (Now - since);
        Task limit = Task.WhenAny(left, givenUp.Task)
            .WaitAsync(rest > CloseDeadlines.ShortestPoll ? rest : CloseDeadlines.ShortestPoll, scope.Time);
        await limit.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        Volatile.Write(ref Rare.GivenUp, null);
        if (!left.IsCompleted)
        {
            Log.TransportNotLeft(scope.Logger, connection.ConnectionId, (Now - since).TotalMilliseconds);
        }
    }

    // The connection has ended, and only foreign code holds it: an abort frees it.
    private void GiveUpWaiting()
    {
        if (Volatile.Read(ref _rare) is { } rare && Volatile.Read(ref rare.GivenUp) is { } givenUp)
        {
            Guard(static (closer, reason) => closer.Connection.Abort(reason), CreateAbortReason());
            givenUp.TrySetResult();
        }
    }

    // The transport and what stands below it may throw whatever they like. That costs this connection a step of its
    // end, and nobody else anything.
    private void Guard<T>(Action<Closer, T> foreign, T argument)
    {
        try
        {
            foreign(this, argument);
        }
        catch (Exception exception)
        {
            Log.TransportThrew(scope.Logger, connection.ConnectionId, exception);
        }
    }
}
