namespace GracefulConnections.Benchmarks.Reporting;

/// <summary>A figure that is printed, and what it must and should be.</summary>
/// <param name="Benchmark">The benchmark's name.</param>
/// <param name="Figure">The figure's name.</param>
/// <param name="Comparison">How it is compared.</param>
/// <param name="Must">Worse than this falls short; <see langword="null"/> where there is no budget.</param>
/// <param name="Aim">What it should be.</param>
internal sealed record Budget(string Benchmark, string Figure, Comparison Comparison, double? Must = null, double? Aim = null);
