using GracefulConnections.Benchmarks.Load;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>What the managed heap of a server grows by for each connection that echoed one message and then keeps quiet.</summary>
internal abstract class MemoryBenchmark : IBenchmark
{
    protected const int MessageBytes = 64;

    private const int ConnectionCount = 2000;
    private const int ShortConnectionCount = 500;
    private const int WarmUpConnectionCount = 64;
    private const int Rounds = 3;

    public abstract string Name { get; }

    public abstract string Description { get; }

    public virtual void ConfigureServices(IServiceCollection services, Variant variant)
    {
    }

    public abstract void Configure(ListenOptions endpoint, Variant variant);

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
