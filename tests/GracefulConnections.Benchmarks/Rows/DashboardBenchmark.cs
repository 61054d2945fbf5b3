using System.Diagnostics;
using System.Net;
using GracefulConnections.Benchmarks.Load;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>What the dashboard costs beside many idle connections: nobody looks, one page is open, a hundred are.</summary>
internal sealed class DashboardBenchmark : IBenchmark
{
    private const int ConnectionCount = 19_500;
    private const int ShortConnectionCount = 1_000;
    private const int ViewerCount = 100;
    private const int Rounds = 5;
    private const int ShortRounds = 1;
    private const double KiB = 1024;

    private int _count = ConnectionCount;

    public string Name => "dashboard";

    public string Description => $"{_count} idle connections and the dashboard";

    public void ConfigureServices(IServiceCollection services, Variant variant)
    {
        services.AddGracefulShutdown();
        services.Configure<KestrelServerOptions>(static kestrel => kestrel.Listen(IPAddress.Loopback, 0));
    }

    public void Configure(ListenOptions endpoint, Variant variant) =>
        endpoint.UseGracefulShutdown().Run(static connection => connection.Transport.Input.CopyToAsync(connection.Transport.Output));

    public void Map(WebApplication app) => app.MapGracefulConnections();

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        _count = Math.Min(options.IsShort ? ShortConnectionCount : ConnectionCount, OpenFileLimit.Connections);
        await using var server = await ServerProcess.StartAsync(this, Variant.Graceful);
        using var peers = new IdlePeers(server.EndPoint, _count);
        while ((await server.GetConnectionsAsync()).Count < _count)
        {
            // The kernel has accepted them, and not all have come to the server.
        }

        var page = await server.GetPageAsync();
        await using (var viewer = await DashboardViewer.OpenAsync(page))
        {
            await MeasureAsync(server, [viewer], options.WarmUp); // Until its code is compiled.
        }

        for (var round = 0; round < (options.IsShort ? ShortRounds : Rounds); round++)
        {
            var window = 5 * options.Window;
            var idle = (await MeasureAsync(server, [], window)).Core; // The server's own: it looks at each connection once a second.
            figures.Add(Variant.Graceful, "% of a core, nobody looks", idle);
            var heap = await server.GetManagedBytesAsync();
            await using (var viewer = await DashboardViewer.OpenAsync(page))
            {
                var (core, bytes) = await MeasureAsync(server, [viewer], window);
                figures.Add(Variant.Graceful, "% of a core more, 1 page", core - idle);
                figures.Add(Variant.Graceful, "KiB/s, 1 page", bytes / KiB);
            }

            var viewers = await Task.WhenAll(Enumerable.Range(0, ViewerCount).Select(_ => DashboardViewer.OpenAsync(page)));
            figures.Add(Variant.Graceful, "% of a core more, 100 pages", (await MeasureAsync(server, viewers, window)).Core - idle);
            figures.Add(Variant.Graceful, "managed KiB/page of 100", (await server.GetManagedBytesAsync() - heap) / KiB / ViewerCount);
            foreach (var viewer in viewers)
            {
                await viewer.DisposeAsync();
            }
        }
    }

    private static async Task<(double Core, double BytesPerSecond)> MeasureAsync(
        ServerProcess server, IReadOnlyList<DashboardViewer> viewers, TimeSpan window)
    {
        var started = Stopwatch.GetTimestamp();
        var before = await server.GetStatisticsAsync();
        var bytesBefore = viewers.Sum(static viewer => viewer.ReceivedBytes);
        await Task.Delay(window);
        var bytes = viewers.Sum(static viewer => viewer.ReceivedBytes) - bytesBefore;
        var after = await server.GetStatisticsAsync();
        var elapsed = Stopwatch.GetElapsedTime(started);
        return (100 * ((after.Processor - before.Processor) / elapsed), bytes / elapsed.TotalSeconds);
    }
}
