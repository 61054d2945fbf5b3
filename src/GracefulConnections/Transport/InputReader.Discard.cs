using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Transport;

/// <content>What happens to bytes that nobody reads any more, and how the end of the input is told.</content>
internal sealed partial class InputReader
{
    private static readonly CancellationToken Cancelled = new(canceled: true);

    private void StopServing(User end)
    {
        var waited = false;
        var held = false;
        var owns = false;
        var leave = false;
        lock (_lock)
        {
            if (_user >= end)
            {
                return;
            }

            if (_user < User.Refused)
            {
                waited = _user == User.Waits;
                held = _user == User.Holds;
                owns = _state == Inner.Free;
                _state = owns ? Inner.Call : _state;
                _isDiscardDue |= _kind != InputKind.Tls || end == User.Completed;
                _activity.IsReadPending = false;
                Volatile.Write(ref _discardedBytes, _bufferedBytes);
            }

            _user = end;
            leave = _state == Inner.Pending && MustLeave_NeedsLock();
            _cancelledByUs |= leave;
        }

        if (waited)
        {
            // Cancelled, not failed: nobody may be left to observe the task that waits for it.
            WakeHandler(new OperationCanceledException(
                end == User.Closed
                    ? "The connection has ended: its handler returned while a read was pending."
                    : "The input was completed while a read was pending.",
                Cancelled));
        }

        if (leave)
        {
            Leave();
        }

        if (owns)
        {
            if (held)
            {
                _bufferedBytes = 0;
                _inner.AdvanceTo(_buffer.End);
                _buffer = default;
            }

            GoOn();
        }
    }

    // Another middleware's reader is left as soon as the handler does not need it any more.
    private bool MustLeave_NeedsLock() => _isStopped || (_kind == InputKind.Foreign && _user >= User.Refused);

    private bool IsDiscarding_NeedsLock() =>
        _user >= User.Refused
        && !_isStopped
        && !_isOver
        && _kind != InputKind.Foreign
        && (_isDiscardDue || _user != User.Closed);

    private void Discard(in ReadResult result)
    {
        if (TryDiscard(result))
        {
            GoOn();
        }
    }

    /// <summary>Throws away what was read. The caller owns the reader.</summary>
    /// <returns><see langword="true"/> when the caller still owns the reader.</returns>
    private bool TryDiscard(in ReadResult result)
    {
        long arrived;
        try
        {
            arrived = result.Buffer.Length - _bufferedBytes;
            Volatile.Write(ref _receivedBytes, _receivedBytes + arrived);
            Volatile.Write(ref _discardedBytes, _discardedBytes + arrived);
            _bufferedBytes = 0;
            _inner.AdvanceTo(result.Buffer.End);
        }
        catch (Exception exception)
        {
            EndDiscard(); // The server completed the transport's reader meanwhile, or the reader's code threw what it likes.
            _events.OnFaulted(exception);
            return false;
        }

        if (result.IsCanceled)
        {
            lock (_lock)
            {
                _cancelledByUs = false;
            }
        }

        if (arrived > 0)
        {
            _activity.OnReceived(isFirst: false);
            _events.OnBytesDiscarded();
        }

        if (!result.IsCompleted)
        {
            return true;
        }

        NoteEnd();
        EndDiscard();
        _events.OnPeerFin(); // If it was a reset that a send was told of, that send tells of it as well.
        return false;
    }

    private void EndDiscard()
    {
        lock (_lock)
        {
            _isOver = true;
        }

        GoOn();
    }

    private ConnectionResetException? TryGetReset(Exception exception)
    {
        var reset = exception as ConnectionResetException
            ?? (_peerReset && exception is ConnectionAbortedException
                ? new ConnectionResetException(exception.Message, exception)
                : null);
        if (reset is not null || TransportFault.IsNetworkEnd(exception))
        {
            ResetException ??= reset ?? exception;
            _resetSeen = true;
        }

        return reset;
    }

    // The kernel tells of a reset once. If it told a send of ours, the transport's receive saw an end as if by FIN, and the handler
    // would take a part for the whole.
    private bool EndsByReset()
    {
        NoteEnd();

        // In this order: after the abort that follows the latter, the kernel tells nothing.
        return (_kind == InputKind.Transport && _probe?.IsResetBeforeFin(ReceivedBytes) == true) || _peerReset;
    }

    // Behind TLS a reset may come after close_notify, with nothing missing, so that there the end stays one. Only the first look
    // counts: by the next one we may have aborted.
    private void NoteEnd()
    {
        if (!_endSeen)
        {
            _endSeen = true;
            _endedByReset = _kind != InputKind.Transport && _probe?.IsOver(finSent: false) == true;
        }
    }
}
