namespace GracefulConnections.Draining;

/// <summary>
/// Gives the thread pool more threads while handlers block the ones that it has. By itself it adds one or two a
/// second, and a stop would wait for them.
/// </summary>
internal sealed class PoolRelief : IThreadPoolWorkItem, IDisposable
{
    private const int Spare = 16;
    private const int MaxStep = 256; // A long queue alone is no reason for as many threads.

    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(100);
    private static readonly Lock Shared = new(); // The pool is the process's, and two hosts may stop at once.
    private static int _users;
    private static int _original;

    private volatile bool _hasRun = true;
    private TimeSpan _queuedAt;
    private long _completed;

    public PoolRelief()
    {
        lock (Shared)
        {
            if (_users++ == 0)
            {
                ThreadPool.GetMinThreads(out _original, out _);
            }
        }
    }

    /// <summary>Looks whether a work item runs in time, and raises the pool's minimum if not.</summary>
    public void Look(TimeSpan now)
    {
        if (!_hasRun)
        {
            if (now - _queuedAt < Patience)
            {
                return;
            }

            if (!IsWorking())
            {
                SetMin(ThreadPool.ThreadCount + (int)Math.Min(ThreadPool.PendingWorkItemCount, MaxStep) + Spare);
            }
        }

        (_queuedAt, _completed) = (now, ThreadPool.CompletedWorkItemCount);
        if (_hasRun)
        {
            _hasRun = false;
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    public void Dispose()
    {
        lock (Shared)
        {
            if (--_users == 0)
            {
                SetMin(_original);
            }
        }
    }

    void IThreadPoolWorkItem.Execute() => _hasRun = true;

    // A pool that has much to do is late as well, but then each of its threads completes items all the time.
    private bool IsWorking() => ThreadPool.CompletedWorkItemCount - _completed > ThreadPool.ThreadCount;

    private static void SetMin(int workers)
    {
        ThreadPool.GetMaxThreads(out var max, out _);
        ThreadPool.GetMinThreads(out _, out var completionPorts);
        ThreadPool.SetMinThreads(Math.Min(workers, max), completionPorts);
    }
}
