/// <summary>Runs something on a thread of the pool while no other thread of it is free, nor comes.</summary>
internal static class BusyPool
{
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

        busy.Wait();
        try
        {
            action();
        }
        finally
        {
            isDone.Set();
            left.Wait();
            ThreadPool.SetMaxThreads(max, completionPorts);
        }

        void Block()
        {
            busy.Signal();
            isDone.Wait();
            left.Signal();
        }
    }
}
