/// <summary>Runs something on a thread of the pool while no other thread of it is free, nor comes.</summary>
internal static class BusyPool
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2); // Beyond that of whoever tests it.

    public static void Run(Action action)
    {
        var threads = Environment.ProcessorCount; // No fewer are allowed.
        ThreadPool.GetMaxThreads(out var max, out var completionPorts);
        ThreadPool.SetMinThreads(threads, threads);
        ThreadPool.SetMaxThreads(threads, completionPorts);
        using var busy = new CountdownEvent(threads); // With ours.
        using var isDone = new ManualResetEventSlim();
        using var left = new CountdownEvent(threads);
        busy.Signal();
        left.Signal();
        for (var i = 1; i < threads; i++)
        {
            ThreadPool.UnsafeQueueUserWorkItem(_ => Block(), null);
        }

        Wait(busy.WaitHandle);
        try
        {
            action();
        }
        finally
        {
            isDone.Set();
            Wait(left.WaitHandle);
            ThreadPool.SetMaxThreads(max, completionPorts);
        }

        void Block()
        {
            busy.Signal();
            Wait(isDone.WaitHandle);
            left.Signal();
        }
    }

    private static void Wait(WaitHandle handle)
    {
        if (!handle.WaitOne(Limit))
        {
            throw new TimeoutException($"The pool's threads did not all come and go within {Limit}.");
        }
    }
}
