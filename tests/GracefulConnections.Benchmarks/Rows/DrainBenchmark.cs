using System.Diagnostics;
using GracefulConnections.Benchmarks.Load;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>
/// Many idle connections: from the request to drain to the last FIN that a peer sees. Each peer closes when it sees
/// ours. As in every row the server has served for a while before, so that its code is compiled: connections came, and
/// their peers closed them. All peers have been silent for so long that none may be in the middle of a message.
/// </summary>
internal sealed class DrainBenchmark : IBenchmark
{
    private const int ConnectionCount = 20_000;
    private const int ShortConnectionCount = 2_000;
    private const int Rounds = 8;
    private const int WarmUpConnectionCount = 64;
    private const int MessageBytes = 64;

    // Since the last connect. One that came just before waits for this, because its first bytes may be on their way.
    private static readonly TimeSpan Silence = 1.2 * new GracefulCloseOptions().QuietTime;

    private int _count = ConnectionCount;

    public string Name => "drain";

    public string Description => $"{_count} idle connections, drained: ours against a loop over shutdown(2)";

    public IReadOnlyList<Variant> Baselines => [Variant.ShutdownLoop];

    public void ConfigureServices(IServiceCollection services, Variant variant) => services.AddGracefulShutdown();

    public void Configure(ListenOptions endpoint, Variant variant) =>
        endpoint.UseGracefulShutdown().Run(static connection => connection.Transport.Input.CopyToAsync(connection.Transport.Output));

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        _count = Math.Min(options.IsShort ? ShortConnectionCount : ConnectionCount, OpenFileLimit.Connections);
        if (_count < ConnectionCount && !options.IsShort)
        {
            Console.WriteLine($"Only {_count} of {ConnectionCount} connections fit into the limit of open files. Raise it in the command: bash -c 'ulimit -n 65536 && dotnet run ...'.");
        }

        for (var round = 0; round < (options.IsShort ? 1 : Rounds); round++)
        {
            await MeasureAsync(Variant.ShutdownLoop, options, figures);
            await MeasureAsync(Variant.Graceful, options, figures);
        }
    }

    private static async Task WarmUpAsync(ServerProcess server, TimeSpan duration)
    {
        var started = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(started) < duration)
        {
            using var connections = new OpenConnections(server.EndPoint, WarmUpConnectionCount, MessageBytes);
            await server.GetConnectionsAsync();
        }
    }

    private async Task MeasureAsync(Variant variant, BenchmarkOptions options, Figures figures)
    {
        await using var server = await (variant == Variant.Graceful ? ServerProcess.StartAsync(this, variant) : ServerProcess.StartShutdownLoopAsync());
        if (variant == Variant.Graceful)
        {
            await WarmUpAsync(server, options.WarmUp);
        }

        using var peers = new IdlePeers(server.EndPoint, _count);
        if (variant == Variant.Graceful)
        {
            (int Count, double Milliseconds) snapshot;
            do
            {
                snapshot = await server.GetConnectionsAsync(); // Until all that the kernel has accepted have come to the server.
            }
            while (snapshot.Count < _count);

            figures.Add(variant, "GetConnections() ms", snapshot.Milliseconds);
        }

        await Task.Delay(Silence);
        peers.StartWatch();
        var drain = server.DrainAsync();
        figures.Add(variant, "ms to the last FIN", (await peers.LastFinAsync()).TotalMilliseconds);
        var (graceful, processor) = await drain;
        if (graceful != _count)
        {
            throw new InvalidOperationException($"Of {_count} connections {graceful} ended gracefully.");
        }

        figures.Add(variant, "server CPU ms", processor);
    }
}
