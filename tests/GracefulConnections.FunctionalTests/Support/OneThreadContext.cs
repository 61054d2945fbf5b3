using System.Collections.Concurrent;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>Runs everything that is posted to it on one thread, as a user interface does.</summary>
internal sealed class OneThreadContext : SynchronizationContext
{
    private readonly BlockingCollection<(SendOrPostCallback Run, object? State)> _posted = [];

    /// <summary>Runs an asynchronous method to its end on this thread.</summary>
    public static void Run(Func<Task> run)
    {
        var context = new OneThreadContext();
        SetSynchronizationContext(context);
        var running = run();
        running.ContinueWith(_ => context.Post(static _ => { }, null), TaskScheduler.Default);
        while (!running.IsCompleted)
        {
            var (callback, state) = context._posted.Take();
            callback(state);
        }

        running.GetAwaiter().GetResult();
    }

    public override void Post(SendOrPostCallback d, object? state) => _posted.Add((d, state));
}
