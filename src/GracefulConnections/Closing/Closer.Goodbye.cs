using GracefulConnections.Diagnostics;

namespace GracefulConnections.Closing;

/// <content>The last message, before our FIN.</content>
internal sealed partial class Closer
{
    /// <summary>Says the goodbye, if the server asked for the close and the connection can still be written to.</summary>
    public async ValueTask SayGoodbyeAsync(Func<CloseReason, CancellationToken, ValueTask> goodbye)
    {
        var expired = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _input.Discard(); // What comes before the goodbye, and the goodbye itself, may take long.
        await FlushedAsync().ConfigureAwait(false);
        CloseReason reason;
        TimeSpan deadline;
        lock (_lock)
        {
            if (!_closeRequested || _state != CloseState.Open)
            {
                return;
            }

            reason = _reason;
            deadline = CloseSweeper.Add(Now, scope.Options.GoodbyeTimeout);
            _goodbye = new Goodbye(expired, deadline);
        }

        _output.BeginGoodbye();
        scope.ClosingSweeper.Watch(this, deadline);
        var cancellation = new CancellationTokenSource(); // Has no timer, and the goodbye may outlive this method.
        var isDecided = 0; // Said or given up, and never half of each: whoever comes first decides.
        var saying = RunAsync();
        await Task.WhenAny(saying, expired.Task).ConfigureAwait(false);
        if (saying.IsCompleted || Interlocked.Exchange(ref isDecided, 1) != 0)
        {
            await saying.ConfigureAwait(false); // Never faults, and nothing of the application's is left in it.
        }
        else
        {
            if (!CloseTransitions.IsFinal(State))
            {
                Log.GoodbyeTimedOut(scope.Logger, connection.ConnectionId, scope.Options.GoodbyeTimeout.TotalMilliseconds);
            }

            // The token is cancelled when this returns. Its callbacks run elsewhere: one that blocks must not hold the close.
            _ = CancelAsync();
            _output.CancelPendingFlush();
        }

        lock (_lock)
        {
            _goodbye = null;
        }

        async Task CancelAsync()
        {
            try
            {
                await cancellation.CancelAsync().ConfigureAwait(false);
            }
            catch (AggregateException exception)
            {
                // A callback of its token: as much the user's code.
                Log.GoodbyeFaulted(scope.Logger, connection.ConnectionId, exception);
            }
        }

        async Task RunAsync()
        {
            try
            {
                await goodbye(reason, cancellation.Token).ConfigureAwait(false);
                if (Interlocked.Exchange(ref isDecided, 1) == 0)
                {
                    _output.EndGoodbye();
                }
            }
            catch (Exception exception)
            {
                // One that ends when it is cancelled does as it was told.
                if (exception is not OperationCanceledException || !cancellation.IsCancellationRequested)
                {
                    // The user's code; it costs its own connection a message, and nobody else anything.
                    Log.GoodbyeFaulted(scope.Logger, connection.ConnectionId, exception);
                }
            }
        }
    }

    // A background writer may still be blocked in a flush when the handler has returned. Two flushes at a time would cost what it
    // wrote, so the goodbye comes after it: within FlushStallTimeout, as every flush after a close request.
    private Task FlushedAsync()
    {
        TaskCompletionSource flushed;
        lock (_lock)
        {
            if (!_output.IsWriteBlocked || CloseTransitions.IsFinal(_state))
            {
                return Task.CompletedTask;
            }

            flushed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _flushed = flushed;
            _poll = ShortestPoll;
        }

        scope.ClosingSweeper.Watch(this, CloseSweeper.Add(Now, ShortestPoll));
        return flushed.Task;
    }

    /// <summary>A goodbye that is being said.</summary>
    private sealed record Goodbye(TaskCompletionSource Expired, TimeSpan Deadline);
}
