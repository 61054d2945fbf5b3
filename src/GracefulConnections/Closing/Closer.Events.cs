using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;

namespace GracefulConnections.Closing;

/// <content>What the two directions of the connection tell.</content>
internal sealed partial class Closer
{
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
            // Some frameworks complete every output with an exception. Where nothing can be missing it is an end like any other.
            var isEnd = _peerFin || _input.EndHanded || (_input.IsRefused && !_input.IsCutOff);
            if (!isEnd)
            {
                SetReason_NeedsLock(CloseReason.HandlerFaulted);
                _fault ??= exception;
                _endsByReset = true;
                _progressAt = Now;
                _poll = ShortestPoll;
            }

            if (_state == CloseState.Open)
            {
                Move_NeedsLock(CloseEvent.OutputCompleted);
            }

            if (isEnd)
            {
                return true;
            }
        }

        Log.OutputFaulted(scope.Logger, connection.ConnectionId, exception);
        scope.ClosingSweeper.Watch(this, CloseSweeper.Add(Now, ShortestPoll));
        return false;
    }

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

    public void OnAllSent()
    {
        lock (_lock)
        {
            _allSent = true;
            _progressAt = Now;
        }
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

        // The reader that tells us has nothing left to do, and runs where the handler would run: the connection may go on to its
        // end right there.
        Deliver(endHere: true);
    }

    public void OnBytesDiscarded()
    {
        lock (_lock)
        {
            _lastByteAt = Now;
            _graceEnd = null;
            LimitDiscard_NeedsLock();
        }

        Settle();
    }

    public void OnFaulted(Exception exception)
    {
        Log.TransportFaulted(scope.Logger, connection.ConnectionId, exception);
        Raise(TransportFault.IsReset(exception) ? CloseEvent.PeerReset : CloseEvent.Abort);
    }

    public void OnWaiting() => WatchBoundary();

    private void WatchBoundary()
    {
        var next = LookAtBoundary();
        if (next < TimeSpan.MaxValue)
        {
            scope.ClosingSweeper.Watch(this, next);
        }
    }

    /// <summary>Cancels the handler's read if a close was requested and this is no middle of a message.</summary>
    /// <returns>When to look again.</returns>
    private TimeSpan LookAtBoundary()
    {
        TimeSpan requestedAt;
        bool usesScopes;
        lock (_lock)
        {
            if (!_cancelsRead
                || _handlerReturned
                || _openScopes > 0
                || _state is not (CloseState.Open or CloseState.HalfClosed))
            {
                return TimeSpan.MaxValue;
            }

            requestedAt = _requestedAt;
            usesScopes = _usesScopes;
        }

        if (_output.HasUnsent)
        {
            return CloseSweeper.Add(Now, LongestPoll);
        }

        var habit = activity.GetHabit(usesScopes, IsAroundTls);
        var wait = _input.TryRefuse(habit, _boundary, Now - requestedAt);
        return wait is null ? TimeSpan.MaxValue : CloseSweeper.Add(Now, wait.Value);
    }
}
