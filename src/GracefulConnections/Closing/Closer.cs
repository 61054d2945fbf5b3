using System.Threading.Tasks.Sources;
using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Closing;

/// <summary>
/// Drives one connection to its end: takes what the transport, the handler, the sweeper and the application tell, moves the state by the table, and carries out what the
/// last state asks for. All decisions are made under one lock, everything else happens outside of it.
/// </summary>
/// <param name="connection">The connection.</param>
/// <param name="scope">What the connections of the endpoint share.</param>
/// <param name="ended">Called at the end.</param>
/// <param name="outer">The one that closes TCP around the TLS that this one closes: it ends the connection, and is the one that is counted and logged.</param>
internal sealed class Closer(ConnectionContext connection, CloseScope scope, Action? ended = null, Closer? outer = null)
    : Sweepable, ITransportEvents, IValueTaskSource
{
    /// <summary>How long the peer must be quiet after everything was acknowledged, with <see cref="LingerUntil.OutputAcknowledged"/>.</summary>
    public static readonly TimeSpan QuietTail = TimeSpan.FromMilliseconds(100);

    // No kernel tells when an ACK arrives, so it is looked for: soon at first, as most come within a round trip, then ever less often.
    private static readonly TimeSpan ShortestPoll = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestPoll = TimeSpan.FromMilliseconds(250);

    private readonly Lock _lock = new();
    private InputReader _input = null!;
    private TransportOutput _output = null!;
    private CloseState _state;
    private CloseReason? _reason;
    private CloseResult _result;
    private TaskCompletionSource<CloseResult>? _closed;
    private ManualResetValueTaskSourceCore<bool> _end; // What CloseAsync waits for: a task and its completion source for each connection would be as much again.
    private Goodbye? _goodbye;
    private LinkedListNode<Closer>? _lingering;
    private bool _closeRequested;
    private bool _endInput;
    private bool _handlerReturned;
    private bool _writeBlocked;
    private long _sentAtLook;
    private bool _finSent;
    private bool _peerFin;
    private bool _countedAsClosing;
    private bool _enteredLinger;
    private bool _finishing;
    private bool _finished;
    private CloseResult? _innerResult;
    private TimeSpan _closingSince;
    private TimeSpan _progressAt; // While lingering: of the delivery.
    private TimeSpan _lastByteAt;
    private TimeSpan _lingerIdleTimeout = scope.Options.LingerIdleTimeout;
    private TimeSpan _poll = ShortestPoll;
    private long _progress;
    private long _discardedBeforeFin;

    public CloseState State
    {
        get
        {
            lock (_lock)
            {
                return _state;
            }
        }
    }

    public bool IsCloseRequested
    {
        get
        {
            lock (_lock)
            {
                return _closeRequested;
            }
        }
    }

    public CloseReason? Reason
    {
        get
        {
            lock (_lock)
            {
                return _reason;
            }
        }
    }

    /// <summary>Gets whether the handler has the connection.</summary>
    public bool IsServing
    {
        get
        {
            lock (_lock)
            {
                return !_handlerReturned && !CloseTransitions.IsFinal(_state);
            }
        }
    }

    /// <summary>Gets how the connection ended; <see langword="null"/> while it has not.</summary>
    public CloseResult? Result
    {
        get
        {
            lock (_lock)
            {
                return _finished ? _result : null;
            }
        }
    }

    public Task<CloseResult> Closed
    {
        get
        {
            lock (_lock)
            {
                _closed ??= new TaskCompletionSource<CloseResult>(TaskCreationOptions.RunContinuationsAsynchronously);
                if (_finished)
                {
                    _closed.TrySetResult(_result);
                }

                return _closed.Task;
            }
        }
    }

    private TimeSpan Now => scope.ClosingSweeper.Now;

    public void Attach(InputReader input, TransportOutput output)
    {
        _input = input;
        _output = output;
    }

    /// <summary>Asks for the close. The handler goes on until it notices.</summary>
    /// <returns><see langword="false"/> when it was asked before, or is closing already.</returns>
    public bool TryRequestClose(CloseReason reason)
    {
        lock (_lock)
        {
            if (_closeRequested || _handlerReturned || CloseTransitions.IsFinal(_state))
            {
                return false;
            }

            _closeRequested = true;
            _reason ??= reason;
            _progressAt = Now;
            _writeBlocked = _output.IsWriteBlocked;
        }

        // A write that the handler is blocked in is bounded from now on.
        scope.ClosingSweeper.Watch(this, CloseSweeper.Add(Now, LongestPoll));
        return true;
    }

    /// <summary>After <see cref="TryRequestClose"/>: ends the input at the next message boundary.</summary>
    public void EndInput()
    {
        lock (_lock)
        {
            _endInput = true;
        }

        if (!_input.EndAtMessageBoundary())
        {
            scope.ClosingSweeper.Watch(this, CloseSweeper.Add(Now, ShortestPoll)); // The second look comes soon. Most connections of a drain are idle, and need none.
        }
    }

    /// <summary>Takes <see cref="EndInput"/> back: the handler turned out to look after close requests itself.</summary>
    public void KeepInput()
    {
        lock (_lock)
        {
            _endInput = false;
        }

        _input.GoOn();
    }

    /// <summary>Accepts no longer silence than this while lingering, from now on.</summary>
    public void CapLinger(TimeSpan cap)
    {
        lock (_lock)
        {
            if (cap == Timeout.InfiniteTimeSpan || (_lingerIdleTimeout != Timeout.InfiniteTimeSpan && cap >= _lingerIdleTimeout))
            {
                return;
            }

            _lingerIdleTimeout = cap;
            if (_state != CloseState.Lingering)
            {
                return;
            }
        }

        scope.ClosingSweeper.Watch(this, Now); // It is watched for a later time.
    }

    /// <summary>The handler has returned: what the peer sends from now on is discarded.</summary>
    /// <param name="reason">Why the close begins, unless a reason is known already.</param>
    /// <param name="inner">The one that closed TLS inside of this one: its close was the first part of this one's.</param>
    public void OnHandlerReturned(CloseReason reason, Closer? inner = null)
    {
        lock (_lock)
        {
            _innerResult = inner?.Result;
            _reason ??= _innerResult?.Reason ?? reason;
            _handlerReturned = true;
            _closingSince = _innerResult is null ? Now : inner!._closingSince;
            if (outer is null && !CloseTransitions.IsFinal(_state))
            {
                _countedAsClosing = true;
                scope.Metrics.CloseStarted();
            }
        }

        if (outer is null)
        {
            Log.Closing(scope.Logger, connection.ConnectionId, _reason.Value);
        }

        _input.Close();
    }

    /// <summary>Ends the connection with RST.</summary>
    public void Abort() => Raise(CloseEvent.Abort);

    /// <summary>Says the goodbye, if the server asked for the close and the connection can still be written to.</summary>
    /// <returns>What to do with bytes that were written and not flushed.</returns>
    public async ValueTask<LeftOver> SayGoodbyeAsync(Func<CloseReason, CancellationToken, ValueTask> goodbye)
    {
        var expired = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        CloseReason reason;
        TimeSpan deadline;
        lock (_lock)
        {
            if (!_closeRequested || _state != CloseState.Open)
            {
                return LeftOver.Send;
            }

            reason = _reason!.Value;
            deadline = CloseSweeper.Add(Now, scope.Options.GoodbyeTimeout);
            _goodbye = new Goodbye(expired, deadline);
        }

        _input.Discard(); // A goodbye may take long.
        scope.ClosingSweeper.Watch(this, deadline);
        var cancellation = new CancellationTokenSource(); // Has no timer, and the goodbye may outlive this method: nothing to dispose.
        var leftOver = LeftOver.Send;
        var saying = RunAsync();
        if (await Task.WhenAny(saying, expired.Task).ConfigureAwait(false) != saying)
        {
            if (!CloseTransitions.IsFinal(State))
            {
                Log.GoodbyeTimedOut(scope.Logger, connection.ConnectionId, scope.Options.GoodbyeTimeout.TotalMilliseconds);
            }

            leftOver = LeftOver.Abandon;
            _ = CancelAsync(); // The token is cancelled when this returns. Its callbacks run elsewhere: one that blocks must not hold the close.
            _output.CancelPendingFlush();
        }

        lock (_lock)
        {
            _goodbye = null;
        }

        return leftOver;

        async Task CancelAsync()
        {
            try
            {
                await cancellation.CancelAsync().ConfigureAwait(false);
            }
            catch (AggregateException exception)
            {
                Log.GoodbyeFaulted(scope.Logger, connection.ConnectionId, exception); // A callback of its token: as much the user's code.
            }
        }

        async Task RunAsync()
        {
            try
            {
                await goodbye(reason, cancellation.Token).ConfigureAwait(false);
            }
            catch (Exception exception)
            {
                if (exception is not OperationCanceledException || !cancellation.IsCancellationRequested) // One that ends when it is cancelled does as it was told.
                {
                    Log.GoodbyeFaulted(scope.Logger, connection.ConnectionId, exception); // The user's code; it costs its own connection a message, and nobody else anything.
                }
            }
        }
    }

    /// <summary>Sends the rest and our FIN, and waits for the end; <see cref="Result"/> says how it ended. Call it once, and await it once.</summary>
    public ValueTask CloseAsync(LeftOver leftOver)
    {
        bool over;
        bool finSent;
        lock (_lock)
        {
            over = CloseTransitions.IsFinal(_state);
            finSent = _finSent;
            if (!over)
            {
                _progressAt = Now;
                _poll = ShortestPoll;
                Move_NeedsLock(CloseEvent.HandlerReturned);
            }
        }

        _output.Seal(leftOver);
        _input.Discard();
        if (!over)
        {
            if (finSent)
            {
                Deliver(); // The handler completed its output long ago, so sealing it sent nothing that would look.
            }

            if (!CloseTransitions.IsFinal(State))
            {
                // Watching comes last, so that a connection that ended at once was never watched; one that ends right now is forgotten by its next sweep.
                scope.ClosingSweeper.Watch(this, CloseSweeper.Add(Now, ShortestPoll));
            }
        }

        var end = new ValueTask(this, _end.Version);
        return _output.Ended.IsCompleted && !_input.IsWrapped ? end : EndAsync(end);
    }

    /// <summary>A newer lingering connection needs the place.</summary>
    public void Evict() => Raise(CloseEvent.LingerEvicted);

    public void OnOutputCompleted()
    {
        lock (_lock)
        {
            if (_state == CloseState.Open)
            {
                Move_NeedsLock(CloseEvent.OutputCompleted);
            }
        }
    }

    public bool OnOutputFaulted(Exception exception)
    {
        lock (_lock)
        {
            _reason ??= CloseReason.HandlerFaulted;
        }

        return false;
    }

    public void OnAllSent() => Raise(CloseEvent.Abort);

    // Not when it was sent: a peer answers at once, and what it sent would count as sent before.
    public void OnFinSending()
    {
        lock (_lock)
        {
            _discardedBeforeFin = _input.DiscardedBytes;
        }
    }

    public void OnFinSent()
    {
        lock (_lock)
        {
            _finSent = true;
            _progressAt = Now;
            LimitDiscard_NeedsLock();
        }

        Deliver();
    }

    public void OnPeerFin()
    {
        lock (_lock)
        {
            _peerFin = true;
            if (_state == CloseState.Lingering)
            {
                Move_NeedsLock(CloseEvent.PeerFin);
            }
        }

        // The reader that tells us has nothing left to do, and runs where the handler would run: the connection may go on to its end right there.
        Deliver(endHere: true);
    }

    public void OnBytesDiscarded()
    {
        lock (_lock)
        {
            _lastByteAt = Now;
            LimitDiscard_NeedsLock();
        }

        Settle();
    }

    public void OnFaulted(Exception exception)
    {
        Log.TransportFaulted(scope.Logger, connection.ConnectionId, exception);
        Raise(TransportFault.IsReset(exception) ? CloseEvent.PeerReset : CloseEvent.Abort);
    }

    public override TimeSpan? Sweep(TimeSpan now)
    {
        bool open;
        bool endInput;
        TimeSpan next;
        lock (_lock)
        {
            open = _state is CloseState.Open or CloseState.HalfClosed;
            endInput = open && _endInput && !_handlerReturned;
            next = _state switch
            {
                CloseState.Flushing => SweepFlushing_NeedsLock(now),
                CloseState.Lingering => SweepLingering_NeedsLock(now),
                _ when open => SweepOpen_NeedsLock(now),
                _ => TimeSpan.MaxValue,
            };
        }

        if (endInput)
        {
            _input.EndAtMessageBoundary();
        }

        return Settle() ? null : next;
    }

    void IValueTaskSource.GetResult(short token) => _end.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _end.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _end.OnCompleted(continuation, state, token, flags);

    private TimeSpan SweepOpen_NeedsLock(TimeSpan now)
    {
        var stalledAt = TimeSpan.MaxValue;
        var wasBlocked = _writeBlocked;
        _writeBlocked = _output.IsWriteBlocked;
        if (_writeBlocked)
        {
            // Bytes that left since then let the write go on, even if it is blocked again by now.
            if (!wasBlocked || _sentAtLook != _output.SentBytes)
            {
                _progressAt = now; // It blocked at some time since the last look: late by that, never early.
            }

            _sentAtLook = _output.SentBytes;

            NoteProgress_NeedsLock(_output.GetDelivery(), now);
            stalledAt = CloseSweeper.Add(_progressAt, scope.Options.FlushStallTimeout);
            if (now >= stalledAt)
            {
                Move_NeedsLock(CloseEvent.FlushStalled);
            }
        }

        var goodbyeDeadline = _goodbye?.Deadline ?? TimeSpan.MaxValue;
        if (now >= goodbyeDeadline)
        {
            _goodbye!.Expired.TrySetResult();
            goodbyeDeadline = TimeSpan.MaxValue;
        }

        return Earliest(NextPoll_NeedsLock(now), stalledAt, goodbyeDeadline);
    }

    private TimeSpan SweepFlushing_NeedsLock(TimeSpan now)
    {
        var delivery = _output.GetDelivery();
        if (delivery.IsDelivered && _finSent)
        {
            Linger_NeedsLock(delivery, now);
            return SweepLingering_NeedsLock(now);
        }

        if (delivery.IsReset)
        {
            Move_NeedsLock(CloseEvent.PeerReset);
        }
        else if (delivery.IsGone)
        {
            Move_NeedsLock(CloseEvent.Abort);
        }

        NoteProgress_NeedsLock(delivery, now);
        var stalledAt = CloseSweeper.Add(_progressAt, scope.Options.FlushStallTimeout);
        var tooLongAt = CloseSweeper.Add(_closingSince, scope.Options.CloseTimeout);
        ExpireFirst_NeedsLock(now, stalledAt, CloseEvent.FlushStalled, tooLongAt, CloseEvent.CloseTimeout);
        return Earliest(NextPoll_NeedsLock(now), stalledAt, tooLongAt);
    }

    private TimeSpan SweepLingering_NeedsLock(TimeSpan now)
    {
        var silentAt = CloseSweeper.Add(_lastByteAt, _lingerIdleTimeout);
        var silence = CloseEvent.LingerSilent;
        if (!_output.CanHalfClose)
        {
            // The peer does not know of the end yet, so there is no FIN to wait for: only for everything to be acknowledged, and to stay so.
            if (!_output.GetDelivery().IsDelivered)
            {
                _progressAt = now;
            }

            silentAt = CloseSweeper.Add(_progressAt, QuietTail);
            silence = CloseEvent.QuietAfterDelivery;
        }
        else if (scope.Options.LingerUntil == LingerUntil.OutputAcknowledged && _output.SeesAcknowledgements)
        {
            var quietAt = CloseSweeper.Add(_lastByteAt, QuietTail);
            if (quietAt <= silentAt)
            {
                silentAt = quietAt;
                silence = CloseEvent.QuietAfterDelivery;
            }
        }

        if (now >= silentAt && silence == CloseEvent.LingerSilent && _input.IsBehind)
        {
            // Not the peer is silent, we are late: a busy process has not got round to what the peer sent, and must not take that for silence.
            _lastByteAt = now;
            silentAt = CloseSweeper.Add(now, _lingerIdleTimeout);
        }

        var tooLongAt = CloseSweeper.Add(_closingSince, scope.Options.CloseTimeout);
        ExpireFirst_NeedsLock(now, silentAt, silence, tooLongAt, CloseEvent.CloseTimeout);
        return Earliest(silentAt, tooLongAt);
    }

    private void LimitDiscard_NeedsLock()
    {
        if (_finSent
            && _state is CloseState.Flushing or CloseState.Lingering
            && _input.DiscardedBytes - _discardedBeforeFin > scope.Options.MaxLingerBytes)
        {
            Move_NeedsLock(CloseEvent.LingerLimitExceeded);
        }
    }

    private void NoteProgress_NeedsLock(in DeliveryStatus delivery, TimeSpan now)
    {
        if (delivery.Progress != _progress)
        {
            _progress = delivery.Progress;
            _progressAt = now;
        }
    }

    private TimeSpan NextPoll_NeedsLock(TimeSpan now)
    {
        var next = now + _poll;
        _poll = _poll + _poll < LongestPoll ? _poll + _poll : LongestPoll;
        return next;
    }

    private void ExpireFirst_NeedsLock(TimeSpan now, TimeSpan firstAt, CloseEvent first, TimeSpan secondAt, CloseEvent second)
    {
        if (now >= firstAt && firstAt <= secondAt)
        {
            Move_NeedsLock(first);
        }
        else if (now >= secondAt)
        {
            Move_NeedsLock(second);
        }
    }

    private static TimeSpan Earliest(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private static TimeSpan Earliest(TimeSpan a, TimeSpan b, TimeSpan c) => Earliest(a, Earliest(b, c));

    /// <summary>Looks whether everything was delivered by now, and starts the linger if so.</summary>
    private void Deliver(bool endHere = false)
    {
        lock (_lock)
        {
            if (_state == CloseState.Flushing && _finSent && _output.GetDelivery() is { IsDelivered: true } delivery)
            {
                Linger_NeedsLock(delivery, Now);
            }
        }

        Settle(endHere);
    }

    private void Linger_NeedsLock(in DeliveryStatus delivery, TimeSpan now)
    {
        _result = _result with { UnacknowledgedBytes = delivery.UnacknowledgedBytes };
        _progressAt = now;
        _lastByteAt = now;
        Move_NeedsLock(CloseEvent.Delivered);
        if (_peerFin)
        {
            Move_NeedsLock(CloseEvent.PeerFin);
        }
    }

    private void Raise(CloseEvent e)
    {
        lock (_lock)
        {
            Move_NeedsLock(e);
        }

        Settle();
    }

    private void Move_NeedsLock(CloseEvent e)
    {
        if (CloseTransitions.IsFinal(_state))
        {
            return;
        }

        if (e == CloseEvent.Abort && (_input.ResetSeen || _input.EndedByReset))
        {
            e = CloseEvent.PeerReset; // The first cause wins: the handler saw the reset and aborted what was left, before a send could tell.
        }

        if (e == CloseEvent.PeerReset && _innerResult is { Outcome: CloseOutcome.Graceful } && _state != CloseState.Lingering)
        {
            // Inside of TLS both sides have said their end, and everything had arrived. The peer is gone and answers our close_notify or our FIN in that way. The discard may find it
            // before this close has begun.
            _state = _state == CloseState.Flushing ? _state : CloseTransitions.Next(_state, CloseEvent.HandlerReturned);
            _state = CloseTransitions.Next(_state, CloseEvent.Delivered);
            _result = _result with { UnacknowledgedBytes = _innerResult.Value.UnacknowledgedBytes };
            e = CloseEvent.PeerFin;
        }

        // Once our FIN was delivered nothing can be missing any more, and asking the kernel again would cost every close one more call.
        var nothingIsMissing = _state == CloseState.Lingering && _output.CanHalfClose;
        _state = CloseTransitions.Next(_state, e);
        if (CloseTransitions.IsFinal(_state))
        {
            _reason ??= e == CloseEvent.PeerReset ? CloseReason.PeerReset : CloseReason.Application;
            _result = new CloseResult(
                _reason.Value,
                CloseTransitions.Outcome(e),
                _handlerReturned ? Now - _closingSince : TimeSpan.Zero,
                _input.DiscardedBytes + (_innerResult?.DiscardedBytes ?? 0),
                nothingIsMissing ? _result.UnacknowledgedBytes : _output.GetDelivery().UnacknowledgedBytes);
        }
    }

    /// <summary>Carries out what the state asks for. Called after every decision.</summary>
    /// <param name="endHere">Whether the one who waits for the end may go on on this thread, else on the thread pool.</param>
    /// <returns>Whether the connection has ended.</returns>
    private bool Settle(bool endHere = false)
    {
        bool final;
        bool finish;
        bool enterLinger;
        lock (_lock)
        {
            final = CloseTransitions.IsFinal(_state);
            finish = final && !_finishing;
            enterLinger = _state == CloseState.Lingering && !_enteredLinger;
            _finishing |= finish;
            _enteredLinger |= enterLinger;
        }

        if (enterLinger && scope.Lingering is { } queue)
        {
            EnterLinger(queue);
        }

        if (finish)
        {
            Finish(endHere);
        }

        return final;
    }

    private void EnterLinger(LingeringQueue queue)
    {
        var node = queue.Enter(this);
        lock (_lock)
        {
            _lingering = node;
            if (!CloseTransitions.IsFinal(_state))
            {
                return;
            }
        }

        queue.Leave(node);
    }

    private void Finish(bool endHere)
    {
        scope.ClosingSweeper.Unwatch(this);
        if (_lingering is { } node)
        {
            scope.Lingering!.Leave(node);
        }

        if (_state == CloseState.Aborted)
        {
            if (_result.Outcome == CloseOutcome.PeerReset)
            {
                _input.OnPeerReset();
            }

            _output.Abort();
            outer?.EndAs(_result);
            connection.Abort(new ConnectionAbortedException($"The connection was closed: {_result.Outcome} ({_result.Reason})."));
        }

        if (outer is null)
        {
            scope.Metrics.Closed(_result, _countedAsClosing);
            Log.Closed(scope.Logger, connection.ConnectionId, _result.Outcome, _result.Reason, _result.Duration.TotalMilliseconds, _result.DiscardedBytes, _result.UnacknowledgedBytes);
        }

        ended?.Invoke();
        lock (_lock)
        {
            _goodbye?.Expired.TrySetResult(); // Nobody is left to say it to, and no sweep will come.
            _finished = true; // Last: whoever waits for the end may dispose the socket, and must not come before our RST.
            _closed?.TrySetResult(_result);
        }

        _end.RunContinuationsAsynchronously = !endHere;
        _end.SetResult(true);
    }

    /// <summary>The one inside of TLS had to abort: this one ended in the same way.</summary>
    private void EndAs(in CloseResult inner)
    {
        lock (_lock)
        {
            if (!CloseTransitions.IsFinal(_state))
            {
                _state = CloseState.Aborted;
                _reason = inner.Reason;
                _result = inner;
            }
        }

        Settle();
    }

    private async ValueTask EndAsync(ValueTask end)
    {
        await end.ConfigureAwait(false);
        await _output.Ended.ConfigureAwait(false);
        if (_input.IsWrapped)
        {
            await _input.StopAsync().ConfigureAwait(false);
        }
    }

    /// <summary>A goodbye that is being said.</summary>
    private sealed record Goodbye(TaskCompletionSource Expired, TimeSpan Deadline);
}
