namespace GracefulConnections.Benchmarks.Load;

/// <summary>Connections that are each used by a thread of their own, which blocks.</summary>
internal abstract class BlockingLoad<T>(T[] connections) : ILoad
    where T : IDisposable
{
    /// <summary>Gets how long a server may send nothing.</summary>
    protected static readonly int StallLimitMilliseconds = (int)TimeSpan.FromSeconds(10).TotalMilliseconds;

    public LoadResult Run(TimeSpan duration) =>
        LoadThreads.Run(connections.Length, duration, (index, stopAt, latencies) => Run(connections[index], stopAt, latencies));

    public void Dispose() => Array.ForEach(connections, static connection => connection.Dispose());

    /// <summary>Uses one connection until a moment, as a timestamp.</summary>
    /// <returns>How much it has done.</returns>
    protected abstract long Run(T connection, long stopAt, LatencyHistogram latencies);

    /// <summary>Makes all connections.</summary>
    protected static T[] Connect(int count, Func<T> connect) => [.. Enumerable.Range(0, count).Select(_ => connect())];
}
