using System.IO.Pipelines;
using System.Runtime.CompilerServices;

namespace GracefulConnections.Transport;

/// <content>A read of the transport's that is pending, and what becomes of it.</content>
internal sealed partial class ReadPump
{
    private ValueTask<ReadResult> _read; // The transport's, that is pending.
    private ValueTask _forward; // The one that waits for it, where the handler is to have its result.
    private bool _isForwarded;
    private Action? _onReadCompleted;

    // A pipe hands the state machine that waits for it to the thread pool as it is, and anything else in a work item of
    // its own. Only for the handler's reads, one for each message: a connection that lingers reads once, and this one
    // would cost it more memory while it waits.
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ForwardAsync(ValueTask<ReadResult> read) => _result = await read.ConfigureAwait(false);

    /// <summary>The read that the owner began goes on without it.</summary>
    private ReadState Suspend(ValueTask<ReadResult> read, bool forHandler)
    {
        var forward = forHandler ? ForwardAsync(read) : default;
        _read = read;
        _forward = forward;
        _isForwarded = forHandler;
        _activity.IsReadPending = forHandler;
        var seen = State;
        ReadStep step;
        ReadState next;
        do
        {
            step = ReadTransitions.Suspend(seen, out next);
        }
        while (!TryMove(ref seen, next));

        // After the exchange: it may complete on another thread before this returns.
        _onReadCompleted ??= OnReadCompleted;
        if (forHandler)
        {
            forward.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(_onReadCompleted);
        }
        else
        {
            read.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(_onReadCompleted);
        }

        if (step == ReadStep.Cancel)
        {
            CancelLater();
        }

        if (next.User == InputUser.Waits && next.Has(ReadFlags.Asked))
        {
            _events.OnWaiting();
        }

        return next;
    }

    private void OnReadCompleted()
    {
        var seen = State;
        while (!TryMove(ref seen, ReadTransitions.Complete(seen)))
        {
        }

        ReadResult result;
        try
        {
            if (_isForwarded)
            {
                _forward.GetAwaiter().GetResult();
                result = _result;
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
        if (LeaveRead(held: false))
        {
            var error = _end.Explain(exception); // The handler's to catch: its await throws it.
            GoOn();
            Handler.End(error);
        }
        else if (exception is OperationCanceledException && _readToken.IsCancellationRequested)
        {
            _readToken = default; // The handler may cancel that of its last read at any time. The discard has none.
            GoOn();
        }
        else
        {
            Move(ReadTransitions.EndInput, out _);
            GoOn();
            _events.OnFaulted(exception);
        }
    }
}
