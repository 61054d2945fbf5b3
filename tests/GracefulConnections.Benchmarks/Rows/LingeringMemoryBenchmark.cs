using GracefulConnections.Benchmarks.Load;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>
/// What a peer that never closes costs: connections that echoed one message and whose handler then returned, against the same on a stock server whose handler waits for
/// the next message.
/// </summary>
internal sealed class LingeringMemoryBenchmark : IBenchmark
{
    private const int ConnectionCount = 2000;
    private const int ShortConnectionCount = 500;
    private const int WarmUpConnectionCount = 64;
    private const int MessageBytes = 64;
    private const int Rounds = 3;

    public string Name => "lingering-memory";

    public string Description => "managed memory of a connection: lingering on ours, idle on stock";

    public void Configure(ListenOptions endpoint, Variant variant)
    {
        if (variant == Variant.Stock)
        {
            endpoint.Run(ServeAndWaitAsync);
            return;
        }

        endpoint.UseGracefulShutdown(options =>
        {
            options.LingerIdleTimeout = Timeout.InfiniteTimeSpan;
            options.CloseTimeout = TimeSpan.FromHours(1);
        });
        endpoint.Run(EchoAsync);
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

    private static async Task ServeAndWaitAsync(ConnectionContext connection)
    {
        await EchoAsync(connection);
        await connection.Transport.Input.ReadAsync();
    }

    private static async Task EchoAsync(ConnectionContext connection)
    {
        var input = connection.Transport.Input;
        var message = await input.ReadAtLeastAsync(MessageBytes);
        await connection.Transport.Output.WriteAsync(message.Buffer.First);
        input.AdvanceTo(message.Buffer.End);
    }
}
