using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace GracefulConnections.Benchmarks.Load;

/// <summary>Threads that load a server until the time is over. Their own, so that no thread pool decides how many there are.</summary>
internal static class LoadThreads
{
    /// <param name="count">The number of threads.</param>
    /// <param name="duration">How long to go on.</param>
    /// <param name="run">Runs on each thread: its number, the <see cref="Stopwatch"/> timestamp at which to stop, where to note latencies; returns the units of work done.</param>
    public static LoadResult Run(int count, TimeSpan duration, Func<int, long, LatencyHistogram, long> run)
    {
        var started = Stopwatch.GetTimestamp();
        var stopAt = started + (long)(duration.TotalSeconds * Stopwatch.Frequency);
        var histograms = new LatencyHistogram[count];
        ExceptionDispatchInfo? failure = null;
        long total = 0;
        var threads = new Thread[count];
        for (var i = 0; i < count; i++)
        {
            var index = i;
            histograms[index] = new LatencyHistogram();
            threads[index] = new Thread(() =>
            {
                try
                {
                    Interlocked.Add(ref total, run(index, stopAt, histograms[index]));
                }
                catch (Exception exception)
                {
                    failure = ExceptionDispatchInfo.Capture(exception);
                }
            });
            threads[index].Start();
        }

        foreach (var thread in threads)
        {
            thread.Join();
        }

        failure?.Throw();
        var elapsed = Stopwatch.GetElapsedTime(started);
        for (var i = 1; i < count; i++)
        {
            histograms[0].Add(histograms[i]);
        }

        return new LoadResult(total, elapsed, histograms[0]);
    }
}
