using GracefulConnections.Benchmarks.Load;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>What it costs that a drain knows a connection, and can end it at any time: idle connections, with <c>AddGracefulShutdown()</c> against stock.</summary>
internal sealed class TrackedMemoryBenchmark : IBenchmark
{
    private const int ConnectionCount = 2000;
    private const int ShortConnectionCount = 500;
    private const int WarmUpConnectionCount = 64;
    private const int MessageBytes = 64;
    private const int Rounds = 3;

    public string Name => "tracked-memory";

    public string Description => "managed memory of an idle connection: tracked for a drain on ours, on stock";

    public void ConfigureServices(IServiceCollection services, Variant variant)
    {
        if (variant == Variant.Graceful)
        {
            services.AddGracefulShutdown();
        }
    }

    public void Configure(ListenOptions endpoint, Variant variant)
    {
        if (variant == Variant.Graceful)
        {
            endpoint.UseGracefulShutdown();
        }

        endpoint.Run(static connection => connection.Transport.Input.CopyToAsync(connection.Transport.Output));
    }

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        for (var round = 0; round < (options.IsShort ? 1 : Rounds); round++)
        {
            await MeasureAsync(Variant.Stock, options, figures);
            await MeasureAsync(Variant.Graceful, options, figures);
        }
    }

    private async Task MeasureAsync(Variant variant, BenchmarkOptions options, Figures figures)
    {
        var count = options.IsShort ? ShortConnectionCount : ConnectionCount;
        await using var server = await ServerProcess.StartAsync(this, variant);
        using (new OpenConnections(server.EndPoint, WarmUpConnectionCount, MessageBytes))
        {
            await server.GetManagedBytesAsync();
        }

        var before = await server.GetManagedBytesAsync();
        using var connections = new OpenConnections(server.EndPoint, count, MessageBytes);
        var after = await server.GetManagedBytesAsync();
        figures.Add(variant, "managed B/connection", (after - before) / (double)count);
    }
}
