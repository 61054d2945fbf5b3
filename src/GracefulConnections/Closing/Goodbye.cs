using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;

namespace GracefulConnections.Closing;

/// <summary>The last message before our FIN. It is said as a whole or given up, and never half of each.</summary>
internal sealed class Goodbye(
    TransportOutput output, Func<CancellationToken, ValueTask> say, Action<Exception> onFaulted)
{
    private readonly TaskCompletionSource _expired = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _isDecided; // Whoever comes first decides whether it was said or given up.

    /// <summary>Gets what completes when no flush of the handler's is pending any more.</summary>
    public TaskCompletionSource Flushed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Its time is over, or nobody is left to say it to.</summary>
    public void Expire() => _expired.TrySetResult();

    /// <summary>Says it.</summary>
    /// <returns>Whether it ended in time.</returns>
    public async Task<bool> RunAsync()
    {
        var cancellation = new CancellationTokenSource(); // Has no timer, and the goodbye may outlive this method.
        var saying = SayAsync(cancellation);
        await Task.WhenAny(saying, _expired.Task).ConfigureAwait(false);
        Interleaving.Point();
        if (saying.IsCompleted || Interlocked.Exchange(ref _isDecided, 1) != 0)
        {
            await saying.ConfigureAwait(false); // Never faults, and nothing of the application's is left in it.
            return true;
        }

        // The token is cancelled when this returns. Its callbacks run elsewhere: one that blocks must not hold the
        // close.
        _ = CancelAsync(cancellation);
        output.GiveUpGoodbye();
        return false;
    }

    private async Task CancelAsync(CancellationTokenSource cancellation)
    {
        try
        {
            await cancellation.CancelAsync().ConfigureAwait(false);
        }
        catch (AggregateException exception)
        {
            onFaulted(exception); // A callback of its token is as much the application's code.
        }
    }

    private async Task SayAsync(CancellationTokenSource cancellation)
    {
        try
        {
            output.BeginGoodbye();
            await say(cancellation.Token).ConfigureAwait(false);
            Interleaving.Point();
            if (Interlocked.Exchange(ref _isDecided, 1) == 0)
            {
                output.EndGoodbye();
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // It does as it was told.
        }
        catch (Exception exception)
        {
            // The application's code costs its own connection a message, and nobody else anything.
            onFaulted(exception);
        }
    }
}
