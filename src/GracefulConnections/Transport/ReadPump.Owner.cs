using System.IO.Pipelines;
using System.Runtime.CompilerServices;

namespace GracefulConnections.Transport;

/// <content>What the owner of the transport's reader does: it reads until nothing is due, and lets go.</content>
internal sealed partial class ReadPump
{
    // A peer that sends as fast as we read must not hold a thread that has other connections to serve.
    private const int MaxReadsInARow = 16;

    private ValueTask<ReadResult> _read; // The transport's, that is pending.
    private Action? _onReadCompleted;

    // Whether the pending read was begun for the handler, and waits in ForwardAsync.
    private bool IsForwarded => _handler is not null && kind == InputKind.Transport;

    /// <summary>The owner has done its part.</summary>
    private void GoOn() => Carry(_word.Move(ReadTransitions.Leave, out _, out var now), now);

    /// <summary>Does what a transition has left to do, until the reader is somebody else's.</summary>
    private void Carry(ReadStep step, ReadState now)
    {
        var reads = 0;
        while (true)
        {
            switch (step)
            {
                case ReadStep.Own:
                    step = _word.Move(ReadTransitions.Leave, out _, out now);
                    break;
                case ReadStep.Pause:
                    Interlocked.Exchange(ref Rare.Between, null)?.Invoke();
                    step = _word.Move(ReadTransitions.Resume, out _, out now);
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

                    step = ReadStep.Own;
                    break;
                default:
                    if (now.IsLeft && now.Has(ReadFlags.Stopped))
                    {
                        _rare?.Left?.TrySetResult();
                    }

                    return;
            }
        }
    }

    /// <returns><see langword="true"/> when the caller still owns the reader, here and below.</returns>
    private bool TryReadOnce(bool forHandler)
    {
        ReadResult result;
        try
        {
            var read = inner.ReadAsync(forHandler ? _handler.Token : CancellationToken.None);
            if (!read.IsCompleted)
            {
                Suspend(read, forHandler);
                return false;
            }

            result = read.GetAwaiter().GetResult();
        }
        catch (Exception exception)
        {
            OnReadFailed(exception);
            return false;
        }

        return TryServe(result);
    }

    // A transport's pipe hands the state machine that waits for it to the thread pool as it is, and anything else in a
    // work item of its own. Only for the handler's reads: a connection that lingers reads once.
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ForwardAsync()
    {
        var result = await _read.ConfigureAwait(false); // Not an argument, which each idle connection would hold twice.
        _handler.Result = result;
    }

    /// <summary>The read that the owner began goes on without it.</summary>
    private void Suspend(ValueTask<ReadResult> read, bool forHandler)
    {
        _read = read;
        if (forHandler)
        {
            var forward = kind == InputKind.Transport ? ForwardAsync() : default;
            (_handler.Forward, _handler.HeldBefore) = (forward, false);
        }
        else
        {
            _handler = null!; // Nobody waits or holds anything any more, and a connection may linger for long.
        }

        var step = _word.Move(ReadTransitions.Suspend, out _, out var now);

        _onReadCompleted ??= OnReadCompleted; // After the exchange: it may run before this returns.
        if (IsForwarded)
        {
            _handler.Forward.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(_onReadCompleted);
        }
        else
        {
            read.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(_onReadCompleted);
        }

        if (step == ReadStep.Cancel)
        {
            CancelLater();
        }

        if (now.User == InputUser.Waits && now.Has(ReadFlags.Asked))
        {
            events.OnWaiting();
        }
    }

    private void OnReadCompleted()
    {
        _word.Move(ReadTransitions.Complete, out _, out _);
        ReadResult result;
        try
        {
            if (IsForwarded)
            {
                _handler.Forward.GetAwaiter().GetResult();
                result = _handler.Result;
            }
            else
            {
                result = _read.GetAwaiter().GetResult();
            }
        }
        catch (Exception exception)
        {
            OnReadFailed(exception);
            return;
        }

        if (TryServe(result))
        {
            GoOn();
        }
    }

    private void OnReadFailed(Exception exception)
    {
        var handler = _handler;
        if (FailRead(handler?.HeldBefore == true))
        {
            var error = _end.Explain(exception); // The handler's to catch: its await throws it.
            GoOn();
            handler!.End(error);
        }
        else if (exception is OperationCanceledException && handler?.Token.IsCancellationRequested == true)
        {
            handler.Token = default; // The handler may cancel that of its last read at any time. The discard has none.
            GoOn();
        }
        else
        {
            _word.Move(ReadTransitions.EndInput, out _, out _);
            GoOn();
            if (!_isInnerCompleted && !TransportFault.IsMisuse(kind, exception))
            {
                events.OnFaulted(exception);
            }
        }
    }

    /// <summary>Ends the handler's read without a result.</summary>
    /// <returns>Whether there is somebody to tell.</returns>
    private bool FailRead(bool isHeld)
    {
        events.Activity.IsReadPending = false;
        return _word.Move(ReadTransitions.Fail, isHeld, out _, out _) == ReadStep.Own;
    }

    /// <summary>Hands what was read to the handler that waits, or throws it away.</summary>
    private bool TryServe(ReadResult result)
    {
        var handler = _handler;
        ReadStep step;
        ReadState now;
        try
        {
            step = Take(ref result, out now);
        }
        catch (Exception exception)
        {
            OnReadFailed(exception); // The server has completed the reader meanwhile, or its code threw what it likes.
            return false;
        }

        switch (step)
        {
            case ReadStep.Discard:
                return TryDiscard(result);
            case ReadStep.Read:
                return true;
            case ReadStep.Fail:
                GoOn();
                handler.End(_end.GetReset());
                return false;
            default:
                Carry(step, now);
                handler.End();
                return false;
        }
    }

    /// <summary>
    /// Gives what was read to the handler, unless it is not for it. The caller owns the reader, and still does if the
    /// handler did not get it.
    /// </summary>
    /// <returns>
    /// As <see cref="ReadTransitions.Hand"/>, or <see cref="ReadStep.Fail"/>: it was no end but a reset, and the
    /// handler is to be told so.
    /// </returns>
    private ReadStep Take(ref ReadResult result, out ReadState next)
    {
        var seen = State;
        next = seen;
        if (seen.IsGone)
        {
            return ReadStep.Discard;
        }

        var length = result.Buffer.Length;
        var arrived = length - _bufferedBytes;
        var isReset = result.IsCompleted && _end.IsReset(kind, queue, _receivedBytes + arrived);
        var hasNews = arrived > 0 || result.IsCompleted || !_isAllExamined;
        if (arrived > 0)
        {
            events.Activity.OnReceived(isFirst: arrived == length);
            _isAllExamined = false;
        }

        if (length > 0 && !_isAllExamined)
        {
            events.Activity.OnHanded(); // Perhaps what came behind a message that the handler has answered meanwhile.
        }

        Count(arrived, length);
        if (isReset)
        {
            if (!FailRead(isHeld: false))
            {
                return ReadStep.Discard;
            }

            Count(arrived: 0, length: 0);
            inner.AdvanceTo(result.Buffer.End);
            return ReadStep.Fail;
        }

        var read = result;
        ReadStep step;
        do
        {
            var isCanceled = read.IsCanceled && !ReadTransitions.IsCancelOurs(seen);
            _handler.Result = result = new ReadResult(read.Buffer, isCanceled, read.IsCompleted);
            step = ReadTransitions.Hand(seen, read.IsCanceled, hasNews, out next);
        }
        while (!_word.TryMove(ref seen, next));
        if (step == ReadStep.Read)
        {
            inner.AdvanceTo(result.Buffer.Start, result.Buffer.End); // The handler has examined all of it.
        }
        else if (step != ReadStep.Discard)
        {
            events.Activity.IsReadPending = false;
            _end.OnHanded(result.IsCompleted);
        }

        return step;
    }

    private void Count(long arrived, long length)
    {
        Volatile.Write(ref _receivedBytes, _receivedBytes + arrived);
        Volatile.Write(ref _bufferedBytes, length);
    }
}
