using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>
/// What a peer that never closes costs: connections that echoed one message and whose handler then returned, against the same on a stock server whose handler waits for
/// the next message.
/// </summary>
internal sealed class LingeringMemoryBenchmark : MemoryBenchmark
{
    public override string Name => "lingering-memory";

    public override string Description => "managed memory of a connection: lingering on ours, idle on stock";

    public override void Configure(ListenOptions endpoint, Variant variant)
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
