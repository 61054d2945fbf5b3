using System.Collections.Concurrent;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>The exceptions of tasks that nobody looked at, which the garbage collector tells of.</summary>
internal sealed class UnobservedFaults : IDisposable
{
    private readonly ConcurrentQueue<Exception> _faults = new();

    public UnobservedFaults()
    {
        Collect(); // Those of others are told before.
        TaskScheduler.UnobservedTaskException += OnFault;
    }

    public IEnumerable<Exception> Faults
    {
        get
        {
            Collect();
            return _faults;
        }
    }

    public void Dispose() => TaskScheduler.UnobservedTaskException -= OnFault;

    private static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    private void OnFault(object? sender, UnobservedTaskExceptionEventArgs e) => _faults.Enqueue(e.Exception);
}
