using System.IO.Pipelines;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Transport;

/// <content>
/// How the handler's reading ends: by a close request, by the handler, or by its return. What comes then is discarded.
/// </content>
internal sealed partial class ReadPump
{
    // Where the kernel does not tell when it received something, bytes may be on their way from it to the reader.
    private static readonly TimeSpan SecondLook = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestLook = TimeSpan.FromMilliseconds(250);

    private Rarity? _rare;

    /// <summary>Gets whether a close request cancelled the handler's read.</summary>
    public bool IsRefused => State.Has(ReadFlags.WasRefused);

    /// <summary>
    /// Gets whether a close request cancelled the handler's read before it had answered what it read last, so that a
    /// part of the peer's message may be missing.
    /// </summary>
    public bool IsCutOff => State.Has(ReadFlags.CutOff);

    /// <summary>
    /// Gets whether the handler has left something of what it read in the pipe, as the begin of a message.
    /// </summary>
    public bool LeavesPart => Volatile.Read(ref _bufferedBytes) != 0;

    private Rarity Rare => LazyInitializer.EnsureInitialized(ref _rare);

    private CancellationToken CloseRequested => _rare?.CloseRequested ?? default;

    /// <summary>
    /// Lets a close request cancel the handler's read, at a moment that <see cref="TryRefuse"/> finds.
    /// </summary>
    /// <param name="closeRequested">The token of the exception that the handler gets.</param>
    public void Ask(CancellationToken closeRequested)
    {
        Rare.CloseRequested = closeRequested;
        _word.Move(ReadTransitions.Ask, out _, out _);
    }

    /// <summary>Takes <see cref="Ask"/> back, unless a read was cancelled.</summary>
    public void Keep() => _word.Move(ReadTransitions.Keep, out _, out _);

    /// <summary>Cancels the handler's read if this is no middle of a message.</summary>
    /// <returns>
    /// When to look again; <see langword="null"/> when a read was cancelled, and when the handler does not wait: then
    /// <see cref="ITransportEvents.OnWaiting"/> tells.
    /// </returns>
    public TimeSpan? TryRefuse(in Habit known, in BoundaryLimits limits, TimeSpan sinceRequest)
    {
        var seen = State;
        var habit = known with { LeavesPart = LeavesPart }; // Behind the state, whose epoch says that it still holds.
        // A handler that cancels its read itself, perhaps by the token of the close request, knows what it leaves.
        var isCutOff = BoundaryRule.IsCutOff(habit) && _handler?.Token.IsCancellationRequested != true;
        if ((habit.LeavesPart && !limits.EndsParts)
            || ReadTransitions.Refuse(seen, seen.Epoch, isCutOff, out _) == ReadStep.None)
        {
            return null;
        }

        // The kernel first, and then whether the read has completed: bytes go from the one to the other.
        if (queue?.GetUnreadLength() > 0)
        {
            return LongestLook;
        }

        var received = queue?.SinceReceived();
        var ofPeer = events.Activity.PeerSilence;
        var silence = new Silence(
            received < ofPeer ? received.Value : ofPeer, events.Activity.HandlerSilence, sinceRequest);
        var wait = BoundaryRule.GetWait(habit, silence, limits);
        if (wait > TimeSpan.Zero)
        {
            return wait;
        }

        // Another thread may have cancelled the read meanwhile, and the discard let go of what the handler needed.
        if (_handler is not { } handler || HasReadCompleted())
        {
            return null;
        }

        // A peer that sends all the time never leaves the same wait for the second look, so an old request does
        // without.
        var epoch = seen.Epoch;
        if (received is null
            && Interlocked.Exchange(ref Rare.SeenEpoch, epoch) != epoch
            && sinceRequest < limits.MessageGap)
        {
            return SecondLook;
        }

        seen = State;
        ReadState next;
        do
        {
            if (ReadTransitions.Refuse(seen, epoch, isCutOff, out next) == ReadStep.None)
            {
                return null;
            }
        }
        while (!_word.TryMove(ref seen, next)); // The pending read is the discard's first.

        events.Activity.IsReadPending = false;
        handler.EndLater(InputErrors.CreateRefused(CloseRequested));
        if (next.MustLeave)
        {
            CancelLater();
        }

        return null;
    }

    /// <summary>
    /// The peer's reset was noticed, perhaps by a send. The abort that follows must not look like ours: the handler's
    /// read fails as if the read had noticed it, unless the peer's end came before.
    /// </summary>
    public void OnPeerReset(bool hasEnded, bool isKept) => _end.OnPeerReset(kind, queue, hasEnded, isKept);

    /// <summary>
    /// The handler has returned: from now on what the peer sends is discarded, so that it is never blocked by a full
    /// window. With TLS only from <see cref="Discard()"/> on: a read that waits there would have to be cancelled for
    /// close_notify, which costs more than all the rest of a close.
    /// </summary>
    public void Close() => EndServing(InputUser.Closed);

    /// <summary>Begins with what <see cref="Close"/> has left for later, if anything.</summary>
    public void Discard() => Carry(_word.Move(ReadTransitions.Discard, out _, out var now), now);

    /// <summary>
    /// Runs <paramref name="action"/> at a moment when no read of the transport's reader is under way, nor can begin.
    /// It must be short and must not throw.
    /// </summary>
    public void RunBetweenReads(Action action)
    {
        var rare = Rare;
        Action? between;
        do
        {
            between = Volatile.Read(ref rare.Between);
            Interleaving.Point();
        }
        while (!ReferenceEquals(Interlocked.CompareExchange(ref rare.Between, between + action, between), between));
        Carry(_word.Move(ReadTransitions.Pause, out _, out var now), now);
    }

    /// <summary>
    /// Ends the discard. After this nothing of the transport's reader is used any more: its owner may take its memory
    /// back. A reader that ignores its cancellation holds the task for as long.
    /// </summary>
    public Task StopAsync()
    {
        var left = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        left = Interlocked.CompareExchange(ref Rare.Left, left, null) ?? left; // Before the owner learns of it.
        var step = _word.Move(ReadTransitions.Stop, out _, out var now);

        // A read of another middleware's reader that the handler left pending is the handler's own, as on stock.
        if (now.IsLeft || (now.Has(ReadFlags.Foreign) && !now.Has(ReadFlags.WasRefused)))
        {
            return Task.CompletedTask;
        }

        Carry(step, now);
        return left.Task;
    }

    private void EndServing(InputUser end)
    {
        var handler = _handler; // Before the exchange: behind it the discard may let go of it.
        var step = _word.Move(ReadTransitions.End, end, out var seen, out var now);
        if (!seen.IsGone)
        {
            events.Activity.IsReadPending = false;
        }

        if (seen.User == InputUser.Waits)
        {
            handler.EndLater(InputErrors.CreateEnded(end));
        }

        if (step != ReadStep.Own || seen.User != InputUser.Holds || TryGiveBack(handler.Result))
        {
            Carry(step, now);
        }
    }

    // A loop that takes the cancellation for a timeout of its own and reads again would spin, so only two reads are
    // answered at once.
    private ValueTask<ReadResult> RefuseAsync() => Interlocked.Increment(ref Rare.Refusals) <= 2
        ? ValueTask.FromCanceled<ReadResult>(CloseRequested)
        : RefuseLateAsync();

    private async ValueTask<ReadResult> RefuseLateAsync()
    {
        await Task.Delay(RefusalDelay, events.Activity.Clock, CancellationToken.None).ConfigureAwait(false);
        throw InputErrors.CreateRefused(CloseRequested);
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
            inner.CancelPendingRead();
        }
        catch (Exception exception)
        {
            events.OnFaulted(exception); // Foreign code, such as the callback of a stream's token.
        }
    }

    private bool HasReadCompleted()
    {
        Interleaving.Point();
        try
        {
            return _read.IsCompleted;
        }
        catch (InvalidOperationException)
        {
            return true; // Its result was taken this very moment, and we are about to be told.
        }
    }

    /// <summary>Throws away what was read.</summary>
    private bool TryDiscard(in ReadResult result)
    {
        var length = result.Buffer.Length;
        var arrived = length - _bufferedBytes;
        Count(arrived, length);
        if (!TryGiveBack(result))
        {
            return false;
        }

        if (arrived > 0)
        {
            events.Activity.OnReceived(isFirst: false);
            events.OnBytesDiscarded();
        }

        if (!result.IsCompleted)
        {
            return true;
        }

        _end.OnEnded(kind, queue);
        _word.Move(ReadTransitions.EndInput, out _, out _);
        GoOn();
        events.OnPeerFin(); // If it was a reset that a send was told of, that send tells of it as well.
        return false;
    }

    private bool TryGiveBack(in ReadResult result)
    {
        try
        {
            Count(arrived: 0, length: 0);
            if (!_isInnerCompleted)
            {
                inner.AdvanceTo(result.Buffer.End);
            }

            if (_handler is { } handler)
            {
                handler.Result = default;
            }

            return true;
        }
        catch (Exception exception)
        {
            OnReadFailed(exception); // The server has completed the reader meanwhile, or its code threw what it likes.
            return false;
        }
    }

    // What few connections have: one that is idle, or lingers, does not pay for it.
    private sealed class Rarity
    {
        public CancellationToken CloseRequested;
        public int Refusals;
        public long SeenEpoch = -1; // Of the read that the first of two looks has seen.
        public Action? Between; // What is to be done when no read is under way.
        public TaskCompletionSource? Left; // Told when nothing of the transport's reader is used any more.
    }
}
