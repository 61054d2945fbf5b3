using System.IO.Pipelines;

namespace GracefulConnections.Transport;

/// <content>How the input ends: by a close request, by the handler, and by the peer.</content>
internal sealed partial class InputReader
{
    /// <summary>How long a read waits that comes after two which were refused.</summary>
    public static readonly TimeSpan RefusalDelay = TimeSpan.FromSeconds(1);

    // Where the kernel does not tell when it received something, bytes may be on their way from it to the reader.
    private static readonly TimeSpan SecondLook = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestLook = TimeSpan.FromMilliseconds(250);

    private CancellationToken _closeRequested;
    private Action? _between;
    private TaskCompletionSource? _left;
    private volatile bool _isRefused;
    private volatile bool _isCutOff;
    private bool _isAsked;
    private bool _isDiscardDue;
    private bool _isStopped;
    private bool _isOver; // The input has ended, or failed.
    private bool _isRefusedRead; // The pending read is one that a close request took from the handler.
    private int _refusals;
    private int? _seenWait;

    /// <summary>What became of a read that has completed.</summary>
    private enum Taken
    {
        /// <summary>The handler has it.</summary>
        ByHandler,

        /// <summary>It was cancelled by us and brought nothing.</summary>
        Again,

        /// <summary>It was no end but a reset, and the handler is told so.</summary>
        Reset,

        /// <summary>The handler does not wait any more.</summary>
        Lost,
    }

    /// <summary>Gets whether a close request cancelled the handler's read.</summary>
    public bool IsRefused => _isRefused;

    /// <summary>
    /// Gets whether a close request cancelled the handler's read before it had answered what it read last, so that a part of the
    /// peer's message may be missing.
    /// </summary>
    public bool IsCutOff => _isCutOff;

    /// <summary>Lets a close request cancel the handler's read, at a moment that <see cref="TryRefuse"/> finds.</summary>
    /// <param name="closeRequested">The token of the exception that the handler gets.</param>
    public void Ask(CancellationToken closeRequested)
    {
        lock (_lock)
        {
            _closeRequested = closeRequested;
            _isAsked = true;
        }
    }

    /// <summary>Takes <see cref="Ask"/> back, unless a read was cancelled.</summary>
    public void Keep()
    {
        lock (_lock)
        {
            _isAsked = false;
        }
    }

    /// <summary>Cancels the handler's read if this is no middle of a message.</summary>
    /// <param name="habit">How the handler has behaved so far.</param>
    /// <param name="limits">How long silence must last.</param>
    /// <param name="sinceRequest">How long ago the close was requested.</param>
    /// <returns>
    /// When to look again; <see langword="null"/> when a read was cancelled, and when the handler does not wait: then
    /// <see cref="ITransportEvents.OnWaiting"/> tells.
    /// </returns>
    public TimeSpan? TryRefuse(in Habit habit, in BoundaryLimits limits, TimeSpan sinceRequest)
    {
        int epoch;
        lock (_lock)
        {
            if (!_isAsked || _user != User.Waits || _state != Inner.Pending || _bufferedBytes != 0)
            {
                return null;
            }

            epoch = _epoch;
        }

        // The kernel first, and then whether the read has completed: bytes go from the one to the other.
        if (_probe?.GetUnreadLength() > 0)
        {
            return LongestLook;
        }

        var received = _probe?.SinceReceived();
        var ofPeer = _activity.PeerSilence;
        var silence = new Silence(received < ofPeer ? received.Value : ofPeer, _activity.HandlerSilence, sinceRequest);
        var wait = BoundaryRule.GetWait(habit, silence, limits);
        if (wait > TimeSpan.Zero)
        {
            return wait;
        }

        bool leave;
        lock (_lock)
        {
            if (_user != User.Waits || _state != Inner.Pending || epoch != _epoch || HasInnerReadCompleted())
            {
                return null;
            }

            // A peer that sends all the time never leaves the same wait for the second look, so an old request does without.
            if (received is null && _seenWait != epoch && sinceRequest < limits.MessageGap)
            {
                _seenWait = epoch;
                return SecondLook;
            }

            _user = User.Refused; // The pending read is the discard's first.
            _isRefused = true;
            _isCutOff = habit is { IsUnanswered: true, UsesScopes: false };
            _isRefusedRead = true;
            _activity.IsReadPending = false;
            leave = MustLeave_NeedsLock();
            _cancelledByUs |= leave;
        }

        WakeHandler(CreateRefusedException());
        if (leave)
        {
            Leave();
        }

        return null;
    }

    /// <summary>The peer's reset was noticed, perhaps by a send. The abort that follows must not look like ours: the handler's read
    /// fails as if the read had noticed it.</summary>
    public void OnPeerReset() => _peerReset = true;

    /// <summary>
    /// The handler has returned: from now on what the peer sends is discarded, so that it is never blocked by a full window. With
    /// TLS only from <see cref="Discard()"/> on: a read that waits there would have to be cancelled for close_notify, which costs
    /// more than all the rest of a close.
    /// </summary>
    public void Close() => StopServing(User.Closed);

    /// <summary>Begins with what <see cref="Close"/> has left for later, if anything.</summary>
    public void Discard()
    {
        lock (_lock)
        {
            _isDiscardDue = true;
            if (_user < User.Refused || _state != Inner.Free)
            {
                return;
            }

            _state = Inner.Call;
        }

        GoOn();
    }

    /// <summary>
    /// Runs <paramref name="action"/> at a moment when no read of the transport's reader is under way, nor can begin. It must be
    /// short and must not throw.
    /// </summary>
    public void RunBetweenReads(Action action)
    {
        bool cancel;
        bool owns;
        lock (_lock)
        {
            _between += action;
            owns = _state == Inner.Free;
            cancel = _state == Inner.Pending;
            _cancelledByUs |= cancel;
            _state = owns ? Inner.Call : _state;
        }

        if (cancel)
        {
            _inner.CancelPendingRead();
        }
        else if (owns)
        {
            GoOn();
        }
    }

    /// <summary>Ends the discard. After this nothing of the transport's reader is used any more: its owner may take its memory
    /// back. A reader that ignores its cancellation holds the task for as long.</summary>
    public Task StopAsync()
    {
        lock (_lock)
        {
            _isStopped = true;
            if (_state == Inner.Free || (_kind == InputKind.Foreign && !_isRefusedRead))
            {
                return Task.CompletedTask; // A read that a handler left pending is the handler's own, as on stock.
            }

            _left ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        RunBetweenReads(static () => { });
        return _left.Task;
    }

    private bool HasInnerReadCompleted()
    {
        try
        {
            return _innerRead.IsCompleted;
        }
        catch (InvalidOperationException)
        {
            return true; // Its result was taken this very moment, and we are about to be told.
        }
    }

    private OperationCanceledException CreateRefusedException() => new(
        "The connection was asked to close while its handler waited for the next message, so the read was cancelled. "
        + "It is not the peer's end of the stream: leave what is incomplete, and return.",
        _closeRequested);

    // A loop that catches the cancellation as a timeout of its own and reads again would spin.
    private ValueTask<ReadResult> RefuseAsync() =>
        Interlocked.Increment(ref _refusals) <= 2
            ? ValueTask.FromCanceled<ReadResult>(_closeRequested)
            : RefuseLateAsync();

    private async ValueTask<ReadResult> RefuseLateAsync()
    {
        await Task.Delay(RefusalDelay, _clock, CancellationToken.None).ConfigureAwait(false);
        throw CreateRefusedException();
    }

    // On the thread pool: another middleware's reader may block, and the one who looks here has other connections to look at.
    private void Leave() => ThreadPool.UnsafeQueueUserWorkItem(
        static reader => reader._inner.CancelPendingRead(), this, preferLocal: false);

    // On the thread pool: whoever requested the close must not run the handler.
    private void WakeHandler(OperationCanceledException exception) => ThreadPool.UnsafeQueueUserWorkItem(
        static state => state.reader._wait.SetException(state.exception),
        (reader: this, exception),
        preferLocal: false);
}
