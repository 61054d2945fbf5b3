namespace GracefulConnections.Benchmarks.Load;

/// <summary>What a server did under load.</summary>
internal sealed record LoadResult(long Count, TimeSpan Elapsed, LatencyHistogram Latencies);
