namespace GracefulConnections.Benchmarks.Serving;

/// <summary>What a server process has used since it started.</summary>
internal readonly record struct Statistics(TimeSpan Processor, long AllocatedBytes, TimeSpan Compilation);
