using GracefulConnections.Diagnostics;

namespace GracefulConnections.Transport;

/// <content>What happens between two reads, and how the owner lets go of the transport's reader.</content>
internal sealed partial class ReadPump
{
    private Action? _between;
    private TaskCompletionSource? _left;

    private delegate ReadStep Transition(ReadState state, out ReadState next);

    /// <summary>
    /// Runs <paramref name="action"/> at a moment when no read of the transport's reader is under way, nor can begin.
    /// It must be short and must not throw.
    /// </summary>
    public void RunBetweenReads(Action action)
    {
        var between = Volatile.Read(ref _between);
        while (true)
        {
            Interleaving.Point();
            var found = Interlocked.CompareExchange(ref _between, between + action, between);
            if (ReferenceEquals(found, between))
            {
                break;
            }

            between = found;
        }

        Carry(Move(ReadTransitions.Pause, out var now), now);
    }

    /// <summary>
    /// Ends the discard. After this nothing of the transport's reader is used any more: its owner may take its memory
    /// back. A reader that ignores its cancellation holds the task for as long.
    /// </summary>
    public Task StopAsync()
    {
        var left = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        left = Interlocked.CompareExchange(ref _left, left, null) ?? left; // Before the owner learns of it.
        var step = Move(ReadTransitions.Stop, out var now);

        // A read of another middleware's reader that the handler left pending is the handler's own, as on stock.
        if (now.IsLeft || (now.Has(ReadFlags.Foreign) && !now.Has(ReadFlags.WasRefused)))
        {
            return Task.CompletedTask;
        }

        Carry(step, now);
        return left.Task;
    }

    // On the thread pool: the reader is foreign code that may block, and the one who wants it back has other things to
    // do.
    private void CancelLater() =>
        ThreadPool.UnsafeQueueUserWorkItem(static pump => pump.CancelRead(), this, preferLocal: false);

    private void CancelRead()
    {
        if (State.Inner != InnerUse.Pend)
        {
            return; // It has completed meanwhile, and its owner does what it was to be cancelled for.
        }

        try
        {
            _inner.CancelPendingRead();
        }
        catch (Exception exception)
        {
            _events.OnFaulted(exception); // Foreign code, such as the callback of a stream's token.
        }
    }

    /// <summary>The owner has done its part.</summary>
    private void GoOn() => Carry(Move(ReadTransitions.Leave, out var now), now);

    /// <summary>Does what a transition has left to do, until the reader is somebody else's.</summary>
    private void Carry(ReadStep step, ReadState now)
    {
        var reads = 0;
        while (true)
        {
            switch (step)
            {
                case ReadStep.Own:
                    step = Move(ReadTransitions.Leave, out now);
                    break;
                case ReadStep.Pause:
                    Interlocked.Exchange(ref _between, null)?.Invoke();
                    step = Move(ReadTransitions.Resume, out now);
                    break;
                case ReadStep.Cancel:
                    CancelLater();
                    return;
                case ReadStep.Read or ReadStep.Discard:
                    if (++reads > MaxReadsInARow)
                    {
                        ThreadPool.UnsafeQueueUserWorkItem(static pump => pump.GoOn(), this, preferLocal: false);
                        return;
                    }

                    if (!TryReadOnce(forHandler: step == ReadStep.Read))
                    {
                        return;
                    }

                    step = Move(ReadTransitions.Leave, out now);
                    break;
                default:
                    if (now.IsLeft && now.Has(ReadFlags.Stopped))
                    {
                        _left?.TrySetResult();
                    }

                    return;
            }
        }
    }

    private ReadStep Move(Transition transition, out ReadState next)
    {
        var seen = State;
        ReadStep step;
        do
        {
            step = transition(seen, out next);
        }
        while (!TryMove(ref seen, next));
        return step;
    }
}
