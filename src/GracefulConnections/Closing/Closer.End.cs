using System.Threading.Tasks.Sources;
using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Closing;

/// <content>The moves from state to state, and the end.</content>
internal sealed partial class Closer
{
    // What CloseAsync waits for: a task and its completion source for each connection would be as much again.
    private ManualResetValueTaskSourceCore<bool> _end;
    private TaskCompletionSource? _givenUp;
    private TimeSpan _deliveredAt;
    private bool _abortsConnection = true;
    private bool _enteredLinger;
    private bool _finishing;
    private bool _finished;

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
        _deliveredAt = now;
        if (!_output.CanHalfClose)
        {
            Move_NeedsLock(CloseEvent.LeftToServer); // The peer does not know of the end yet: there is no FIN to wait for.
            return;
        }

        Move_NeedsLock(CloseEvent.Delivered);
        if (_peerFin)
        {
            Move_NeedsLock(CloseEvent.PeerFin);
        }
    }

    private void Raise(CloseEvent e, bool abortsConnection = true)
    {
        lock (_lock)
        {
            _abortsConnection &= abortsConnection || CloseTransitions.IsFinal(_state);
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
            // The first cause wins: the handler saw the reset and aborted what was left, before a send could tell.
            e = CloseEvent.PeerReset;
        }

        if (e == CloseEvent.PeerReset && _innerResult is { Outcome: CloseOutcome.Graceful } && _state != CloseState.Lingering)
        {
            // Inside of TLS both sides have said their end, and everything had arrived. The peer is gone and answers our
            // close_notify or our FIN in that way. The discard may find it before this close has begun.
            _state = _state == CloseState.Flushing ? _state : CloseTransitions.Next(_state, CloseEvent.HandlerReturned);
            _state = CloseTransitions.Next(_state, CloseEvent.Delivered);
            _result = _result with { UnacknowledgedBytes = _innerResult.Value.UnacknowledgedBytes };
            e = CloseEvent.PeerFin;
        }

        // Once our FIN was delivered nothing can be missing any more, and asking the kernel again would cost every close one more
        // call.
        var nothingIsMissing = _state == CloseState.Lingering && _output.CanHalfClose;
        var isInKernel = _finSent && !_endsByReset && (nothingIsMissing || _output.IsFinInKernel);
        _state = CloseTransitions.Next(_state, e, isInKernel);
        if (CloseTransitions.IsFinal(_state))
        {
            SetReason_NeedsLock(e == CloseEvent.PeerReset ? CloseReason.PeerReset : CloseReason.Application);
            _result = new CloseResult
            {
                Reason = _reason,
                Outcome = CloseTransitions.Outcome(e),
                Duration = _handlerReturned ? Now - _closingSince : TimeSpan.Zero,
                DiscardedBytes = _input.DiscardedBytes + (_innerResult?.DiscardedBytes ?? 0),
                UnacknowledgedBytes =
                    nothingIsMissing ? _result.UnacknowledgedBytes : _output.GetDelivery().UnacknowledgedBytes,
            };
        }
    }

    // The first cause wins.
    private void SetReason_NeedsLock(CloseReason reason) => _reason = _reason == CloseReason.None ? reason : _reason;

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

            _output.Abort(resets: _abortsConnection);
            outer?.EndAs(_result);
            if (_abortsConnection)
            {
                connection.Abort(CreateAbortReason());
            }
        }
        else if (_result.Outcome == CloseOutcome.LeftToServer)
        {
            _output.Abort(resets: false); // A flush of the other middleware's writer may still be pending.
        }

        if (outer is null)
        {
            scope.Metrics.Closed(_result, _countedAsClosing);
            Log.Closed(
                scope.Logger,
                connection.ConnectionId,
                _result.Outcome,
                _result.Reason,
                _result.Duration.TotalMilliseconds,
                _result.DiscardedBytes,
                _result.UnacknowledgedBytes);
        }

        ended?.Invoke();
        lock (_lock)
        {
            _goodbye?.Expired.TrySetResult(); // Nobody is left to say it to, and no sweep will come.
            _flushed?.TrySetResult();
            _finished = true; // Last: whoever waits for the end may dispose the socket, and must not come before our RST.
            _closed?.TrySetResult(_result);
        }

        _end.RunContinuationsAsynchronously = !endHere;
        _end.SetResult(true);
    }

    private ConnectionAbortedException CreateAbortReason()
    {
        var message = $"The connection was closed: {_result.Outcome} ({_result.Reason}).";
        return _fault is null
            ? new ConnectionAbortedException(message)
            : new ConnectionAbortedException($"{message} {_fault.GetType().Name}: {_fault.Message}", _fault);
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

    // Whoever stands below takes its memory back when control returns to it, so it should not be in use any more. But code that
    // nobody knows, and that ignores its cancellation, holds the close within its limit only.
    private async ValueTask EndAsync(ValueTask end)
    {
        await end.ConfigureAwait(false);
        var left = _input.Kind == InputKind.Transport ? _output.Ended : Task.WhenAll(_output.Ended, _input.StopAsync());
        if (left.IsCompleted)
        {
            return;
        }

        var givenUp = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            _givenUp = givenUp;
        }

        var rest = scope.Options.CloseTimeout - (Now - _closingSince);
        Task limit = Task.WhenAny(left, givenUp.Task).WaitAsync(rest > ShortestPoll ? rest : ShortestPoll, scope.Time);
        await limit.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        lock (_lock)
        {
            _givenUp = null;
        }

        if (!left.IsCompleted)
        {
            Log.TransportNotLeft(scope.Logger, connection.ConnectionId, (Now - _closingSince).TotalMilliseconds);
        }
    }

    // The connection has ended, and only foreign code holds it: an abort frees it.
    private void GiveUpWaiting()
    {
        TaskCompletionSource? givenUp;
        lock (_lock)
        {
            givenUp = _givenUp;
        }

        if (givenUp is not null)
        {
            connection.Abort(CreateAbortReason());
            givenUp.TrySetResult();
        }
    }
}
