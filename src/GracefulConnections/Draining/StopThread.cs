using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Draining;

/// <summary>
/// A thread for the time of a stop, which does what is due and gives the thread pool more threads while handlers block
/// the ones that it has. Timers need a free thread of the pool, and by itself the pool adds one or two a second.
/// </summary>
internal sealed class StopThread : IThreadPoolWorkItem, IDisposable
{
    private const int Spare = 16;
    private const int MaxStep = 256; // A long queue alone is no reason for as many threads.

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(100);

    private readonly Action _drive;
    private readonly ILogger _logger;
    private readonly ManualResetEventSlim _ended = new();
    private readonly int _originalMin;
    private int _raisedMin;
    private volatile bool _probeHasRun = true;
    private long _probedAt;
    private long _completed;

    private StopThread(Action drive, ILogger logger)
    {
        (_drive, _logger) = (drive, logger);
        ThreadPool.GetMinThreads(out _originalMin, out _);
        new Thread(Run) { IsBackground = true, Name = "GracefulConnections stop" }.UnsafeStart();
    }

    /// <summary>
    /// Starts the thread. A process that has no descriptor or no process id left gets none, and must stop without it.
    /// </summary>
    /// <returns><see langword="null"/> if the system refuses it.</returns>
    public static StopThread? TryStart(Action drive, ILogger logger)
    {
        try
        {
            return new StopThread(drive, logger);
        }
        catch (Exception exception) when (exception is OutOfMemoryException or ThreadStartException)
        {
            Log.StopThreadMissing(logger, exception);
            return null;
        }
    }

    /// <summary>The host has stopped. Its last steps may need the threads that the pool got.</summary>
    public void End() => _ended.Set();

    public void Dispose()
    {
        End();
        ThreadPool.GetMinThreads(out var min, out _);
        if (min == _raisedMin) // Or somebody else has changed it since, such as another host that stops.
        {
            SetMin(_originalMin);
        }
    }

    void IThreadPoolWorkItem.Execute() => _probeHasRun = true;

    private static void SetMin(int workers)
    {
        ThreadPool.GetMinThreads(out _, out var completionPorts);
        ThreadPool.SetMinThreads(workers, completionPorts);
    }

    private void Run()
    {
        while (!_ended.Wait(Interval))
        {
            try
            {
                _drive();
                RelievePool();
            }
            catch (Exception exception)
            {
                Log.StopThreadFaulted(_logger, exception); // A fault of the library's; the rest goes on.
            }
        }
    }

    private void RelievePool()
    {
        if (!_probeHasRun)
        {
            if (TimeProvider.System.GetElapsedTime(_probedAt) < Patience)
            {
                return;
            }

            // A pool that has much to do is late as well, but then each of its threads completes items all the time.
            if (ThreadPool.CompletedWorkItemCount - _completed <= ThreadPool.ThreadCount)
            {
                ThreadPool.GetMaxThreads(out var max, out _);
                var wanted = ThreadPool.ThreadCount + (int)Math.Min(ThreadPool.PendingWorkItemCount, MaxStep) + Spare;
                _raisedMin = Math.Min(wanted, max);
                SetMin(_raisedMin);
            }
        }

        (_probedAt, _completed) = (TimeProvider.System.GetTimestamp(), ThreadPool.CompletedWorkItemCount);
        if (_probeHasRun)
        {
            _probeHasRun = false;
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }
}
