using GracefulConnections.Diagnostics;

namespace GracefulConnections.Draining;

/// <summary>A token of the drain, whose callbacks are the application's.</summary>
/// <param name="name">What the application calls it.</param>
/// <param name="context">Where it is told when a callback is late or throws.</param>
internal sealed class DrainSignal(string name, DrainContext context)
{
    private static readonly TimeSpan CallbackTimeout = TimeSpan.FromSeconds(1);

    private Task? _callbacks;

    public CancellationToken Token => Source.Token;

    // Not disposed: it holds nothing to free, and a host that was disposed may be stopped, which fires it.
    private CancellationTokenSource Source { get; } = new();

    /// <summary>Cancels the token, once. The callbacks run on the thread pool, because they may block.</summary>
    public void Fire()
    {
        lock (Source)
        {
            if (_callbacks is not null)
            {
                return;
            }

            using (ExecutionContext.SuppressFlow())
            {
                _callbacks = Source.CancelAsync();
            }
        }

        context.LogFault(_callbacks, name, Log.DrainCallbackFaulted);
    }

    /// <summary>Cancels the token, and waits until its callbacks have run, for a second at most.</summary>
    public async Task FireAsync(CancellationToken hurry)
    {
        Fire();
        await _callbacks!.WaitAsync(CallbackTimeout, context.Time, hurry)
            .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!_callbacks.IsCompleted && !hurry.IsCancellationRequested)
        {
            Log.DrainCallbackLate(context.Logger, name, CallbackTimeout.TotalSeconds);
        }
    }
}
