using GracefulConnections.Benchmarks.Hostile;
using GracefulConnections.Benchmarks.Reporting;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>
/// Closes by handlers and peers that misbehave, on memory that tells who uses it after its return. Each connection is
/// judged by what both of its ends know. Nothing is measured: one connection that is wrong fails the command.
/// </summary>
internal sealed class HostileBenchmark : IBenchmark
{
    public string Name => "hostile";

    public string Description => "closes by handlers and peers that misbehave, with what each was told against what it got";

    public bool IsSoak => true;

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        var tally = new HostileTally();
        await new HostileRun(options.Seed, options.Closes, options.HostileTime, tally).RunAsync();
        figures.AddTable($"  --seed {options.Seed}\n{tally}", tally.Failures);
    }
}
