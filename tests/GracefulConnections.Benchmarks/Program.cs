using BenchmarkDotNet.Running;
using GracefulConnections.Benchmarks;
using GracefulConnections.Benchmarks.Micro;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Rows;
using GracefulConnections.Benchmarks.Serving;

// A new row is a file in Rows/ and a line here; its budgets are lines in Reporting/Budgets.cs.
IBenchmark[] benchmarks =
[
    EchoBenchmark.Small,
    EchoBenchmark.Large,
    new ConnectBenchmark(),
    new LingeringMemoryBenchmark(),
    new TrackedMemoryBenchmark(),
    new DrainBenchmark(),
];

if (args is ["serve", var variant, var served])
{
    await ServerRole.RunAsync(benchmarks.Single(benchmark => benchmark.Name == served), Enum.Parse<Variant>(variant, ignoreCase: true));
    return 0;
}

if (args is ["--micro", .. var microArgs])
{
    BenchmarkSwitcher.FromAssembly(typeof(InputMicroBenchmark).Assembly).Run(microArgs is [] ? ["--filter", "*"] : microArgs);
    return 0;
}

if (!BenchmarkOptions.TryParse(args, benchmarks, out var options, out var error))
{
    Console.Error.WriteLine(error);
    return 2;
}

Console.WriteLine($"{options}, {Environment.ProcessorCount} processors, .NET {Environment.Version}, {System.Runtime.InteropServices.RuntimeInformation.OSDescription}");
var shortfalls = 0;
foreach (var benchmark in benchmarks.Where(benchmark => options.Only is null || benchmark.Name.StartsWith(options.Only, StringComparison.OrdinalIgnoreCase)))
{
    var figures = new Figures();
    await benchmark.RunAsync(options, figures);
    shortfalls += Report.Print(benchmark, figures);
}

Report.PrintSummary(shortfalls);
return 0; // Figures never fail the command: a shared machine would decide then.
