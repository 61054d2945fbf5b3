using System.Diagnostics;
using System.Globalization;
using System.Text;
using GracefulConnections.Benchmarks.Load;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;
using GracefulConnections.Testing;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>
/// How the cost of a drain and of a snapshot grows with the number of connections: on sockets, each of which has sent
/// a byte and got it back, and on connections in memory, of which there can be more than descriptors.
/// </summary>
internal sealed class DrainGrowthBenchmark : IBenchmark
{
    private const int SnapshotRounds = 20; // The first ones run code that is not optimised yet.
    private static readonly int[] SocketCounts = [1_000, 10_000, 19_500];
    private static readonly int[] ShortSocketCounts = [200, 1_000];
    private static readonly int[] MemoryCounts = [10_000, 100_000];
    private static readonly int[] ShortMemoryCounts = [1_000, 2_000];

    public string Name => "growth-of-drain";

    public string Description => "what a drain and GetConnections() cost, by the number of connections";

    public void ConfigureServices(IServiceCollection services, Variant variant) => AddDrain(services);

    public void Configure(ListenOptions endpoint, Variant variant) => endpoint.UseGracefulShutdown(BeQuietSoon).Run(EchoAsync);

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        var table = new StringBuilder();
        table.AppendLine("| connections | on | drain ms | CPU ms | CPU us a connection | GetConnections() ms |");
        table.AppendLine("| --- | --- | --- | --- | --- | --- |");
        foreach (var count in options.IsShort ? ShortSocketCounts : SocketCounts)
        {
            var possible = Math.Min(count, OpenFileLimit.Connections);
            AppendRow(table, possible, "sockets", await MeasureSocketsAsync(possible));
        }

        foreach (var count in options.IsShort ? ShortMemoryCounts : MemoryCounts)
        {
            AppendRow(table, count, "memory", await MeasureMemoryAsync(count));
        }

        figures.AddTable(table.ToString(), failures: 0); // The machine decides about times, and no run fails of one.
    }

    private static void AppendRow(StringBuilder table, int count, string kind, (double Drain, double Processor, double Snapshot) row) =>
        table.AppendLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {count:N0} | {kind} | {row.Drain:N0} | {row.Processor:N0} | {1000 * row.Processor / count:0.0} | {row.Snapshot:0.00} |"));

    private async Task<(double Drain, double Processor, double Snapshot)> MeasureSocketsAsync(int count)
    {
        await using var server = await ServerProcess.StartAsync(this, Variant.Graceful);
        using var peers = new IdlePeers(server.EndPoint, count, echoes: true);
        var best = double.MaxValue;
        for (var round = 0; round < SnapshotRounds; round++)
        {
            best = Math.Min(best, (await server.GetConnectionsAsync()).Milliseconds);
        }

        peers.StartWatch();
        var draining = server.DrainAsync();
        var lastFin = await peers.LastFinAsync();
        var (graceful, processor) = await draining;
        return graceful == count
            ? (lastFin.TotalMilliseconds, processor, best)
            : throw new InvalidOperationException($"Of {count} connections {graceful} ended gracefully.");
    }

    private static async Task<(double Drain, double Processor, double Snapshot)> MeasureMemoryAsync(int count)
    {
        await using var services = AddDrain(new ServiceCollection().AddLogging()).BuildServiceProvider();
        var drain = services.GetRequiredService<IDrainCoordinator>();
        var builder = new ConnectionBuilder(services);
        builder.UseGracefulShutdown(BeQuietSoon).Run(EchoAsync);
        var endpoint = builder.Build();
        InMemoryConnection[] connections = [.. Enumerable.Range(0, count).Select(static i => new InMemoryConnection(new InMemoryConnectionOptions { HasKernel = false }) { ConnectionId = $"{i}" })];
        Task[] served = [.. connections.Select(connection => endpoint(connection))];
        Task[] peers = [.. connections.Select(CloseAfterServerAsync)];
        var best = double.MaxValue;
        for (var round = 0; round < SnapshotRounds; round++)
        {
            var asked = Stopwatch.GetTimestamp();
            drain.GetConnections();
            best = Math.Min(best, Stopwatch.GetElapsedTime(asked).TotalMilliseconds);
        }

        var processor = Environment.CpuUsage.TotalTime;
        var started = Stopwatch.GetTimestamp();
        var report = await drain.DrainAsync();
        var elapsed = Stopwatch.GetElapsedTime(started);
        processor = Environment.CpuUsage.TotalTime - processor;
        await Task.WhenAll([.. peers, .. served]);
        return report.ConnectionCount == count
            ? (elapsed.TotalMilliseconds, processor.TotalMilliseconds, best)
            : throw new InvalidOperationException($"Of {count} connections {report.ConnectionCount} were drained.");
    }

    // The peers share the machine, and may be late with their FIN.
    private static IServiceCollection AddDrain(IServiceCollection services) =>
        services.AddGracefulShutdown(static options => options.DrainTimeout = options.LingerIdleTimeout = TimeSpan.FromMinutes(2));

    // What a drain costs, and not how long it waits for peers that have just sent.
    private static void BeQuietSoon(GracefulCloseOptions options) => options.QuietTime = TimeSpan.FromMilliseconds(1);

    private static Task EchoAsync(ConnectionContext connection) => connection.Transport.Input.CopyToAsync(connection.Transport.Output);

    private static async Task CloseAfterServerAsync(InMemoryConnection connection)
    {
        await connection.Peer.ReceiveToEndAsync();
        connection.Peer.HalfClose();
    }
}
