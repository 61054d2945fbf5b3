using System.IO.Pipelines;

namespace GracefulConnections.Transport;

/// <content>What the owner of the transport's reader does: it reads until nothing is due, and lets go.</content>
internal sealed partial class ReadPump
{
    // A peer that sends as fast as we read must not hold a thread that has other connections to serve.
    private const int MaxReadsInARow = 16;

    /// <returns><see langword="true"/> when the caller still owns the reader.</returns>
    private bool TryReadOnce(bool forHandler)
    {
        ReadResult result;
        try
        {
            var read = _inner.ReadAsync(forHandler ? _readToken : CancellationToken.None);
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

    /// <summary>Hands what was read to the handler that waits, or throws it away.</summary>
    /// <returns><see langword="true"/> when the caller still owns the reader.</returns>
    private bool TryServe(ReadResult result)
    {
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
                Handler.End(_end.GetReset());
                return false;
            default:
                Carry(step, now);
                Handler.End(result);
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
        var isReset = result.IsCompleted && _end.IsReset(_kind, _probe, _receivedBytes + arrived);
        var hasNews = arrived > 0 || result.IsCompleted || !_isAllExamined;
        if (arrived > 0)
        {
            _activity.OnReceived(isFirst: arrived == length);
            _activity.OnHanded();
            _isAllExamined = false;
        }

        Count(arrived, length);
        if (isReset)
        {
            if (!LeaveRead(held: false))
            {
                return ReadStep.Discard;
            }

            Count(arrived: 0, length: 0);
            _inner.AdvanceTo(result.Buffer.End);
            return ReadStep.Fail;
        }

        _result = result;
        ReadStep step;
        do
        {
            step = ReadTransitions.Hand(seen, result.IsCanceled, hasNews, out next);
        }
        while (!TryMove(ref seen, next));
        switch (step)
        {
            case ReadStep.Discard:
                break;
            case ReadStep.Read:
                _inner.AdvanceTo(result.Buffer.Start, result.Buffer.End); // The handler has examined all of it.
                break;
            default:
                _activity.IsReadPending = false;
                _end.OnHanded(result.IsCompleted);
                if (result.IsCanceled && ReadTransitions.IsCancelOurs(seen))
                {
                    result = new ReadResult(result.Buffer, isCanceled: false, result.IsCompleted);
                }

                break;
        }

        return step;
    }

    private void Count(long arrived, long length)
    {
        Volatile.Write(ref _receivedBytes, _receivedBytes + arrived);
        Volatile.Write(ref _bufferedBytes, length);
    }

    /// <summary>Throws away what was read.</summary>
    /// <returns><see langword="true"/> when the caller still owns the reader.</returns>
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
            _activity.OnReceived(isFirst: false);
            _events.OnBytesDiscarded();
        }

        if (!result.IsCompleted)
        {
            return true;
        }

        _end.OnEnded(_kind, _probe);
        Move(ReadTransitions.EndInput, out _);
        GoOn();
        _events.OnPeerFin(); // If it was a reset that a send was told of, that send tells of it as well.
        return false;
    }

    /// <returns><see langword="true"/> when the caller still owns the reader.</returns>
    private bool TryGiveBack(in ReadResult result)
    {
        try
        {
            Count(arrived: 0, length: 0);
            _inner.AdvanceTo(result.Buffer.End);
            _result = default;
            return true;
        }
        catch (Exception exception)
        {
            OnReadFailed(exception); // The server has completed the reader meanwhile, or its code threw what it likes.
            return false;
        }
    }
}
