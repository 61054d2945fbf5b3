using System.Globalization;
using System.Net;
using BenchmarkDotNet.Running;
using GracefulConnections.Benchmarks;
using GracefulConnections.Benchmarks.Micro;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Rolling;
using GracefulConnections.Benchmarks.Rows;
using GracefulConnections.Benchmarks.Serving;
using GracefulConnections.FunctionalTests.Support;

// A new row is a file in Rows/ and a line here; its budgets are lines in Reporting/Budgets.cs.
IBenchmark[] benchmarks =
[
    EchoBenchmark.Small,
    EchoBenchmark.Large,
    new FeedBenchmark(),
    new ConnectBenchmark(usesTls: false),
    EchoBenchmark.SmallOverTls,
    EchoBenchmark.LargeOverTls,
    new ConnectBenchmark(usesTls: true),
    new LingeringMemoryBenchmark(),
    new TrackedMemoryBenchmark(),
    new DrainBenchmark(),
    new DrainGrowthBenchmark(),
    new DashboardBenchmark(),
    new ProxyBenchmark(),
    new RelayEchoBenchmark(),
    new RelayMemoryBenchmark(),
    new RelayVolumeBenchmark(),
    new OutgoingBenchmark(),
    new EarlyRejectionBenchmark(TlsPlacement.Plaintext),
    new EarlyRejectionBenchmark(TlsPlacement.Outside),
    new EarlyRejectionBenchmark(TlsPlacement.Inside),
    new HostileBenchmark(),
    new HandoverBenchmark(),
    new FailedHandoverBenchmark(),
    new RollingRestartBenchmark(),
];

if (args is ["serve", var variant, var served])
{
    await ServerRole.RunAsync(benchmarks.Single(benchmark => benchmark.Name == served), Enum.Parse<Variant>(variant, ignoreCase: true));
    return 0;
}

if (args is [ReplicaRole.Command, var replica, var httpPort, var rawPort, .. var plan])
{
    await ReplicaRole.RunAsync(
        Enum.Parse<Variant>(replica),
        int.Parse(httpPort, CultureInfo.InvariantCulture),
        int.Parse(rawPort, CultureInfo.InvariantCulture),
        ReplicaRole.Read(plan));
    return 0;
}

if (args is [StockRelay.Command, var listen, var target])
{
    await StockRelay.RunAsync(IPEndPoint.Parse(listen), IPEndPoint.Parse(target));
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
var failures = 0;
foreach (var benchmark in benchmarks.Where(options.Has))
{
    var figures = new Figures();
    await benchmark.RunAsync(options, figures);
    if (figures.LeftOutBecause is { } reason)
    {
        failures += Report.PrintLeftOut(benchmark, reason);
    }
    else if (figures.Table is { } table)
    {
        failures += Report.PrintTable(benchmark, table);
    }
    else if (figures.Counts.Count > 0)
    {
        failures += Report.PrintCounts(benchmark, figures);
    }
    else
    {
        shortfalls += Report.Print(benchmark, figures);
    }
}

Report.PrintSummary(shortfalls, failures);
return failures == 0 ? 0 : 1; // Only counts fail the command. If timed figures did, a shared machine would decide.
