using Microsoft.Extensions.Logging;

namespace GracefulConnections.Diagnostics;

/// <summary>
/// Runs calls in which code of a meter's or a trace's listener runs. What it throws must not cost a connection its end.
/// </summary>
/// <param name="logger">Who is told, once.</param>
internal sealed class ListenerGuard(ILogger? logger)
{
    private int _hasLogged;

    /// <summary>Runs a call. Never under a lock of the library's, because the listener may do anything.</summary>
    public void Run<T>(Action<T> call, T state)
    {
        try
        {
            call(state);
        }
        catch (Exception exception)
        {
            if (Interlocked.Exchange(ref _hasLogged, 1) == 0 && logger is not null)
            {
                Log.MeterListenerThrew(logger, exception);
            }
        }
    }
}
