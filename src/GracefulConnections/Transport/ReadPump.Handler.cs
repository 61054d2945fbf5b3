using System.IO.Pipelines;

namespace GracefulConnections.Transport;

/// <content>The handler's reads, on its own thread.</content>
internal sealed partial class ReadPump
{
    private ValueTask<ReadResult> ReadForHandler(bool held, CancellationToken cancellationToken)
    {
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
            return WaitAsync(read, cancellationToken);
        }

        ReadResult result;
        ReadStep step;
        ReadState now;
        try
        {
            result = read.GetAwaiter().GetResult();
            step = Take(ref result, out now);
        }
        catch (Exception exception)
        {
            var error = FailRead(exception, held);
            return exception is OperationCanceledException && cancellationToken.IsCancellationRequested
                ? ValueTask.FromCanceled<ReadResult>(cancellationToken)
                : ValueTask.FromException<ReadResult>(error);
        }

        switch (step)
        {
            case ReadStep.Fail:
                GoOn();
                return ValueTask.FromException<ReadResult>(_end.GetReset());
            case ReadStep.Discard:
                var wait = Handler.Wait();
                Handler.End(InputErrors.CreateEnded(State.User));
                Discard(result);
                return wait;
            case ReadStep.Read:
                return WaitAsync(read: null, cancellationToken);
            default:
                Carry(step, now);
                return new ValueTask<ReadResult>(result);
        }
    }

    // The handler's thread returns: either a read is pending, or the owner's next one is for the handler.
    private ValueTask<ReadResult> WaitAsync(ValueTask<ReadResult>? read, CancellationToken cancellationToken)
    {
        var wait = Handler.Wait();
        _readToken = cancellationToken;
        ReadState next;
        if (read is { } pending)
        {
            next = Suspend(pending, forHandler: true);
        }
        else
        {
            Move(ReadTransitions.Park, out next);
            GoOn();
        }

        if (next.IsGone)
        {
            Handler.End(InputErrors.CreateEnded(next.User)); // It did not wait yet, so nobody else ends the wait.
        }

        return wait;
    }

    private bool TryReadForHandler(bool held, out ReadResult result)
    {
        while (true)
        {
            ReadStep step;
            ReadState now;
            try
            {
                if (!_inner.TryRead(out result))
                {
                    LeaveRead(held);
                    GoOn();
                    return false;
                }

                step = Take(ref result, out now);
            }
            catch (Exception exception)
            {
                var error = FailRead(exception, held);
                if (ReferenceEquals(error, exception))
                {
                    throw;
                }

                throw error;
            }

            switch (step)
            {
                case ReadStep.Fail:
                    GoOn();
                    throw _end.GetReset();
                case ReadStep.Discard:
                    Discard(result);
                    throw InputErrors.Create(State.User, _closeRequested);
                case ReadStep.Read:
                    break;
                default:
                    Carry(step, now);
                    return true;
            }
        }
    }

    private Exception FailRead(Exception exception, bool held)
    {
        var error = _end.Explain(exception);
        LeaveRead(held);
        GoOn();
        return error;
    }

    /// <summary>Ends the handler's read without a result.</summary>
    /// <returns>Whether there is somebody to tell.</returns>
    private bool LeaveRead(bool held)
    {
        var seen = State;
        ReadStep step;
        ReadState next;
        do
        {
            step = ReadTransitions.Fail(seen, held, out next);
        }
        while (!TryMove(ref seen, next));
        _activity.IsReadPending = false;
        return step == ReadStep.Own;
    }

    private void Discard(in ReadResult result)
    {
        if (TryDiscard(result))
        {
            GoOn();
        }
    }
}
