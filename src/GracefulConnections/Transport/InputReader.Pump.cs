using System.IO.Pipelines;
using System.Runtime.CompilerServices;

namespace GracefulConnections.Transport;

/// <content>What the owner of the transport's reader does.</content>
internal sealed partial class InputReader
{
    // A peer that sends as fast as we read must not hold a thread that has other connections to serve.
    private const int MaxReadsInARow = 16;

    private ValueTask<ReadResult> _innerRead; // Only to look whether it has completed.
    private ConfiguredValueTaskAwaitable<ReadResult>.ConfiguredValueTaskAwaiter _read;
    private Action? _onReadCompleted;
    private CancellationToken _readToken; // Of the handler's pending read.
    private bool _cancelledByUs;
    private bool _endSeen;
    private int _epoch; // Counts the reads that have completed.

    // The caller owns the reader, and the handler waits.
    private ValueTask<ReadResult> ReadForHandler(bool held, CancellationToken cancellationToken)
    {
        var wait = new ValueTask<ReadResult>(this, _wait.Version);
        ValueTask<ReadResult> read;
        try
        {
            read = _inner.ReadAsync(cancellationToken);
        }
        catch (Exception exception)
        {
            var error = FailRead(exception, held);
            if (ReferenceEquals(error, exception))
            {
                throw; // As the transport's own reader does.
            }

            throw error;
        }

        if (!read.IsCompleted)
        {
            Pend(read, forHandler: true);
            return wait;
        }

        ReadResult result;
        try
        {
            result = read.GetAwaiter().GetResult();
        }
        catch (Exception exception)
        {
            var error = FailRead(exception, held);
            return exception is OperationCanceledException && cancellationToken.IsCancellationRequested
                ? ValueTask.FromCanceled<ReadResult>(cancellationToken)
                : ValueTask.FromException<ReadResult>(error);
        }

        switch (Take(ref result))
        {
            case Taken.ByHandler:
                return new ValueTask<ReadResult>(result);
            case Taken.Reset:
                GoOn();
                return ValueTask.FromException<ReadResult>(ResetException!);
            case Taken.Lost:
                Discard(result);
                return wait; // Whoever ended the wait completes it.
            default:
                GoOn(); // Does what the read was cancelled for, and reads again for the same wait.
                return wait;
        }
    }

    private bool TryReadForHandler(out ReadResult result)
    {
        Taken taken;
        do
        {
            try
            {
                if (!_inner.TryRead(out result))
                {
                    GoOn();
                    return false;
                }
            }
            catch (Exception exception)
            {
                var error = TryGetReset(exception) ?? exception;
                GoOn();
                if (ReferenceEquals(error, exception))
                {
                    throw;
                }

                throw error;
            }

            taken = Take(ref result, isTryRead: true);
        }
        while (taken == Taken.Again);

        switch (taken)
        {
            case Taken.Reset:
                GoOn();
                throw ResetException!;
            case Taken.Lost:
                Discard(result);
                throw CreateClosedException();
            default:
                return true;
        }
    }

    private Exception FailRead(Exception exception, bool held)
    {
        var error = TryGetReset(exception) ?? exception;
        lock (_lock)
        {
            if (_user == User.Waits)
            {
                _user = held ? User.Holds : User.None;
                _activity.IsReadPending = false;
            }
        }

        GoOn();
        return error;
    }

    // A pipe hands the state machine that waits for it to the thread pool as it is, and anything else in a work item of its own.
    // Only for the handler's reads, one for each message: a connection that lingers reads once, and this one would cost it more
    // memory while it waits.
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private static async ValueTask<ReadResult> ForwardAsync(ValueTask<ReadResult> read) => await read.ConfigureAwait(false);

    private static ConfiguredValueTaskAwaitable<ReadResult>.ConfiguredValueTaskAwaiter GetAwaiter(ValueTask<ReadResult> read) =>
        read.ConfigureAwait(false).GetAwaiter();

    /// <summary>The read that the owner began goes on without it.</summary>
    private void Pend(ValueTask<ReadResult> read, bool forHandler)
    {
        bool cancel;
        bool isAsked;
        var awaiter = GetAwaiter(forHandler ? ForwardAsync(read) : read);
        lock (_lock)
        {
            _innerRead = read;
            _read = awaiter;
            _state = Inner.Pending;
            _activity.IsReadPending = _user == User.Waits;
            cancel = _between is not null || MustLeave_NeedsLock();
            _cancelledByUs |= cancel;
            isAsked = _user == User.Waits && _isAsked;
        }

        // After the exchange: it may complete on another thread before this returns.
        awaiter.UnsafeOnCompleted(_onReadCompleted ??= OnReadCompleted);
        if (cancel)
        {
            _inner.CancelPendingRead();
        }

        if (isAsked)
        {
            _events.OnWaiting();
        }
    }

    private void OnReadCompleted()
    {
        ReadResult result;
        bool forHandler;
        ConfiguredValueTaskAwaitable<ReadResult>.ConfiguredValueTaskAwaiter read;
        lock (_lock)
        {
            _state = Inner.Call;
            _epoch++;
            _isRefusedRead = false;
            forHandler = _user == User.Waits;
            read = _read;
        }

        try
        {
            result = read.GetResult();
        }
        catch (Exception exception)
        {
            OnReadFailed(exception);
            return;
        }

        if (!forHandler)
        {
            Discard(result);
            return;
        }

        switch (Take(ref result))
        {
            case Taken.ByHandler:
                _wait.SetResult(result);
                break;
            case Taken.Reset:
                GoOn();
                _wait.SetException(ResetException!);
                break;
            case Taken.Lost:
                Discard(result);
                break;
            default:
                GoOn(); // Reads again for the same wait.
                break;
        }
    }

    private void OnReadFailed(Exception exception)
    {
        bool forHandler;
        lock (_lock)
        {
            forHandler = _user == User.Waits;
            if (forHandler)
            {
                _user = User.None;
                _activity.IsReadPending = false;
            }
        }

        if (forHandler)
        {
            var error = TryGetReset(exception) ?? exception; // The handler's to catch: its await throws it.
            GoOn();
            _wait.SetException(error);
        }
        else if (exception is OperationCanceledException && _readToken.IsCancellationRequested)
        {
            _readToken = default; // That of the handler's last read, which it may cancel at any time. The discard has none.
            GoOn();
        }
        else
        {
            EndDiscard();
            _events.OnFaulted(exception);
        }
    }

    // The usual case: nothing else is due, so that the owner lets go of the reader without another look.
    private bool TryFree_NeedsLock()
    {
        if (_between is not null || _deferredAdvance is not null || _user == User.Waits || IsDiscarding_NeedsLock())
        {
            return false;
        }

        _state = Inner.Free;
        return true;
    }

    /// <summary>
    /// Gives what was read to the handler, unless it is not for it. The caller owns the reader, and still does if the handler did
    /// not get it.
    /// </summary>
    private Taken Take(ref ReadResult result, bool isTryRead = false)
    {
        var isReset = result.IsCompleted && EndsByReset();
        var taken = Taken.ByHandler;
        lock (_lock)
        {
            if (_user != User.Waits && !(isTryRead && _user < User.Refused))
            {
                return Taken.Lost;
            }

            var length = result.Buffer.Length;
            if (result.IsCanceled && IsCancelOurs_NeedsLock())
            {
                // The handler has examined all that it has seen, or its read would not have been pending.
                taken = length == _bufferedBytes && !result.IsCompleted ? Taken.Again : taken;
                result = new ReadResult(result.Buffer, isCanceled: false, result.IsCompleted);
            }

            if (taken != Taken.Again)
            {
                taken = isReset ? Taken.Reset : taken;
                Accept_NeedsLock(result, isReset);
                if (taken == Taken.ByHandler && TryFree_NeedsLock())
                {
                    return taken;
                }
            }
        }

        if (taken == Taken.ByHandler)
        {
            GoOn();
        }
        else
        {
            _inner.AdvanceTo(taken == Taken.Again ? result.Buffer.Start : result.Buffer.End, result.Buffer.End);
        }

        return taken;
    }

    private bool IsCancelOurs_NeedsLock()
    {
        var isOurs = _cancelledByUs && !_cancelledByHandler;
        _cancelledByUs = false;
        _cancelledByHandler = false;
        return isOurs;
    }

    private void Accept_NeedsLock(in ReadResult result, bool isReset)
    {
        var length = result.Buffer.Length;
        if (length > _bufferedBytes)
        {
            _activity.OnReceived(isFirst: _bufferedBytes == 0);
            _activity.OnHanded();
        }

        Volatile.Write(ref _receivedBytes, _receivedBytes + length - _bufferedBytes);
        _activity.IsReadPending = false;
        if (isReset)
        {
            _bufferedBytes = 0;
            _user = User.None;
            _resetSeen = true;
            ResetException ??= CreateResetException();
            return;
        }

        _bufferedBytes = length;
        _buffer = result.Buffer;
        _user = User.Holds;
        _endHanded |= result.IsCompleted;
    }

    /// <returns>Whether the owner has let go of the reader.</returns>
    private bool Advance(SequencePosition consumed, SequencePosition examined)
    {
        long? left = null;
        if (_user == User.Holds)
        {
            left = consumed.Equals(_buffer.End) ? 0 : _buffer.Slice(consumed).Length;
        }

        _inner.AdvanceTo(consumed, examined);
        lock (_lock)
        {
            if (left is not null && _user == User.Holds)
            {
                _bufferedBytes = left.Value;
                _user = User.None;
                _buffer = default;
            }

            return TryFree_NeedsLock();
        }
    }

    /// <summary>The owner has done its part: does what is due meanwhile, and lets go of the reader or reads on.</summary>
    private void GoOn()
    {
        for (var reads = 0; ; reads++)
        {
            Action? between;
            TaskCompletionSource? left = null;
            (SequencePosition Consumed, SequencePosition Examined)? advance;
            var forHandler = false;
            lock (_lock)
            {
                between = _between;
                advance = _deferredAdvance;
                _between = null;
                _deferredAdvance = null;
                if (between is null && advance is null)
                {
                    forHandler = _user == User.Waits;
                    if (!forHandler && !IsDiscarding_NeedsLock())
                    {
                        _state = Inner.Free;
                        if (!_isStopped || _left is null)
                        {
                            return;
                        }

                        left = _left;
                    }
                }
            }

            if (left is not null)
            {
                left.TrySetResult();
                return;
            }

            if (between is not null || advance is not null)
            {
                between?.Invoke();
                if (advance is { } positions && Advance(positions.Consumed, positions.Examined))
                {
                    return;
                }
            }
            else if (reads >= MaxReadsInARow)
            {
                ThreadPool.UnsafeQueueUserWorkItem(static reader => reader.GoOn(), this, preferLocal: false);
                return;
            }
            else if (!TryReadOnce(forHandler))
            {
                return;
            }
        }
    }

    /// <returns><see langword="true"/> when the caller still owns the reader.</returns>
    private bool TryReadOnce(bool forHandler)
    {
        ReadResult result;
        try
        {
            var read = _inner.ReadAsync(forHandler ? _readToken : CancellationToken.None);
            if (!read.IsCompleted)
            {
                Pend(read, forHandler);
                return false;
            }

            result = read.GetAwaiter().GetResult();
        }
        catch (Exception exception)
        {
            OnReadFailed(exception);
            return false;
        }

        if (!forHandler)
        {
            return TryDiscard(result);
        }

        var taken = Take(ref result);
        if (taken == Taken.Again)
        {
            return true;
        }

        if (taken == Taken.Lost)
        {
            return TryDiscard(result);
        }

        if (taken == Taken.ByHandler)
        {
            _wait.SetResult(result);
        }
        else
        {
            GoOn();
            _wait.SetException(ResetException!);
        }

        return false;
    }
}
