using System.Globalization;
using System.Text;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Rolling;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>
/// A rolling restart of three replicas behind HAProxy under load: how many requests fail. A count and no time, so that
/// one request that fails with the library fails the command.
/// </summary>
internal sealed class RollingRestartBenchmark : IBenchmark
{
    public string Name => "rolling-restart";

    public string Description => $"{RollingPlan.Replicas} replicas behind HAProxy are restarted one after another under load";

    public bool IsSoak => true;

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        if (LoadBalancer.FindMissing() is { } missing)
        {
            figures.LeaveOut(missing);
            return;
        }

        var plan = options.IsShort ? RollingPlan.Short : RollingPlan.Create(options.RollingRequests);
        var stock = new RollingRun(Variant.Stock, plan);
        var graceful = new RollingRun(Variant.Graceful, plan);
        if (options.IsShort)
        {
            await Task.WhenAll(stock.RunAsync(), graceful.RunAsync());
        }
        else
        {
            await stock.RunAsync(); // One after the other, because a busy machine has more races.
            await graceful.RunAsync();
        }

        var text = new StringBuilder();
        Describe(text, "stock", stock);
        Describe(text, "UseGracefulShutdown() and AddGracefulShutdown()", graceful);
        figures.AddTable($"{text}".TrimEnd(), graceful.Tallies.Sum(static tally => tally.Failed));
    }

    private static void Describe(StringBuilder text, string name, RollingRun run)
    {
        text.AppendLine(
            CultureInfo.InvariantCulture,
            $"  {name}: {run.Stops.Count} restarts, {run.Stops.Average(static stop => stop.TotalSeconds):0.0} s from SIGTERM to the exit");
        foreach (var tally in run.Tallies)
        {
            text.AppendLine(
                CultureInfo.InvariantCulture,
                $"    {tally.Name,-18} {tally.Tried,8:N0} requests, {tally.Failed,4:N0} failed, {tally.TriedAgain,4:N0} tried again {tally.DescribeFailures()}");
        }
    }
}
