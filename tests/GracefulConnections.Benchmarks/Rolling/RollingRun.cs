using System.Diagnostics;

namespace GracefulConnections.Benchmarks.Rolling;

/// <summary>Restarts replicas one after another behind a load balancer, while peers send requests.</summary>
internal sealed class RollingRun(Variant variant, RollingPlan plan)
{
    private readonly RequestTally _keepAlive = new("HTTP, keep-alive");
    private readonly RequestTally _close = new("HTTP, close");
    private readonly RequestTally _raw = new("raw request-reply");
    private readonly List<TimeSpan> _stops = [];

    public IReadOnlyList<RequestTally> Tallies => [_keepAlive, _close, _raw];

    /// <summary>Gets how long each replica took from SIGTERM to its exit.</summary>
    public IReadOnlyList<TimeSpan> Stops => _stops;

    public async Task RunAsync()
    {
        Replica[] replicas = [.. Enumerable.Range(0, RollingPlan.Replicas).Select(_ => new Replica(variant, plan))];
        try
        {
            await Task.WhenAll(replicas.Select(static replica => replica.StartAsync()));
            await using var balancer = await LoadBalancer.StartAsync(replicas);
            using var end = new CancellationTokenSource();
            var load = StartLoad(balancer, end.Token);
            try
            {
                await RestartAsync(replicas, balancer);
            }
            finally
            {
                await end.CancelAsync();
                await load;
            }
        }
        finally
        {
            foreach (var replica in replicas)
            {
                await replica.DisposeAsync();
            }
        }
    }

    private Task StartLoad(LoadBalancer balancer, CancellationToken end) => Task.WhenAll(
        Enumerable.Range(0, RollingPlan.Peers).SelectMany<int, Task>(_ =>
        [
            Task.Run(() => HttpLoad.RunAsync(balancer.Http, closes: false, _keepAlive, end)),
            Task.Run(() => HttpLoad.RunAsync(balancer.Http, closes: true, _close, end)),
            Task.Run(async () =>
            {
                using var raw = new RawLoad(balancer.Raw, _raw);
                await raw.RunAsync(end);
            }),
        ]));

    private async Task RestartAsync(Replica[] replicas, LoadBalancer balancer)
    {
        do
        {
            foreach (var replica in replicas.Take(plan.Restarts))
            {
                var began = Stopwatch.GetTimestamp();
                await replica.StopAsync();
                _stops.Add(Stopwatch.GetElapsedTime(began));
                await replica.StartAsync();
                await balancer.AllUpAsync();
            }
        }
        while (Tallies.Any(tally => tally.Tried < plan.Requests));
    }
}
