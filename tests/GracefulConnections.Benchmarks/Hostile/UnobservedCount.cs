namespace GracefulConnections.Benchmarks.Hostile;

/// <summary>Counts the exceptions of tasks that nobody looked at.</summary>
internal sealed class UnobservedCount : IDisposable
{
    private int _count;
    private string? _first;

    public UnobservedCount() => TaskScheduler.UnobservedTaskException += Note;

    public int Count => Volatile.Read(ref _count);

    /// <summary>Gets the first of them.</summary>
    public string? First => Volatile.Read(ref _first);

    /// <summary>Lets the runtime find them: it tells only of tasks that are garbage.</summary>
    public static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    public void Dispose() => TaskScheduler.UnobservedTaskException -= Note;

    private void Note(object? sender, UnobservedTaskExceptionEventArgs e)
    {
        Interlocked.Increment(ref _count);
        Interlocked.CompareExchange(ref _first, $"Unobserved: {e.Exception}", null);
    }
}
