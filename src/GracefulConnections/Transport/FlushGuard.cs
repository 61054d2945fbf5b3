using System.IO.Pipelines;
using System.Threading.Tasks.Sources;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Transport;

/// <summary>
/// Stands between a pipe's pending flush and those who await it. A pipe whose flush is awaited twice at a time ends
/// itself with an error; here the second one gets the error, and nobody else notices.
/// </summary>
internal sealed class FlushGuard : IValueTaskSource<FlushResult>
{
    private readonly Action _onFlushed;

    // The pipe's own, whichever call it came from: a pipe has one state for all of them.
    private ValueTask<FlushResult> _flush;
    private Action<object?>? _continuation;
    private object? _state;

    public FlushGuard() => _onFlushed = OnFlushed;

    public bool IsPending => !_flush.IsCompleted;

    /// <param name="flush">A flush of the pipe, pending when the pipe returned it.</param>
    public ValueTask<FlushResult> Guard(ValueTask<FlushResult> flush)
    {
        _flush = flush;
        return new ValueTask<FlushResult>(this, 0);
    }

    FlushResult IValueTaskSource<FlushResult>.GetResult(short token)
    {
        if (!_flush.IsCompleted)
        {
            throw new InvalidOperationException(
                "Two flushes of one connection are awaited at the same time. A writer serves one at a time: "
                + "await each FlushAsync or WriteAsync before the next one, or guard the output with a lock.");
        }

        return _flush.GetAwaiter().GetResult();
    }

    ValueTaskSourceStatus IValueTaskSource<FlushResult>.GetStatus(short token)
    {
        var flush = _flush;
        return !flush.IsCompleted ? ValueTaskSourceStatus.Pending
            : flush.IsFaulted ? ValueTaskSourceStatus.Faulted
            : ValueTaskSourceStatus.Succeeded;
    }

    // Must not throw: the runtime throws on what comes out of here on a thread of the pool, which ends the process.
    void IValueTaskSource<FlushResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
    {
        Interleaving.Point();
        if (Interlocked.CompareExchange(ref _continuation, continuation, null) is not null)
        {
            // Goes on at once, and asks for a result that is not there.
            ThreadPool.UnsafeQueueUserWorkItem(continuation, state, preferLocal: false);
            return;
        }

        _state = state;
        var awaiter = _flush.ConfigureAwait(false).GetAwaiter();
        if ((flags & ValueTaskSourceOnCompletedFlags.FlowExecutionContext) != 0)
        {
            awaiter.OnCompleted(_onFlushed);
        }
        else
        {
            awaiter.UnsafeOnCompleted(_onFlushed);
        }
    }

    private void OnFlushed()
    {
        var (continuation, state) = (_continuation!, _state);
        _state = null;
        Volatile.Write(ref _continuation, null); // Last: from here on the next one may come.
        continuation(state);
    }
}
