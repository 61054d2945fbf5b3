using System.Net;
using System.Net.Sockets;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>
/// Connects, sends, receives and closes again and again by the library's connection factory. Afterwards this process holds no descriptor and no pooled block more than before.
/// </summary>
internal sealed class OutgoingBenchmark : IBenchmark
{
    private const int Connects = 10_000;
    private const int ShortConnects = 1_000;
    private const int WarmUpConnects = 100;

    public string Name => "outgoing-leak";

    public string Description => "what is left of connections that were made and closed";

    public bool IsSoak => true;

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        var echoing = EchoAsync(listener);
        await using var services = new ServiceCollection().AddGracefulConnectionFactory().BuildServiceProvider();
        var factory = services.GetRequiredService<IConnectionFactory>();
        using var blocks = new RentedBlocks();
        await ConnectAsync(factory, listener.LocalEndPoint!, WarmUpConnects);

        var (descriptorsBefore, blocksBefore) = (CountDescriptors(), blocks.Count);
        var count = options.IsShort ? ShortConnects : Connects;
        var graceful = await ConnectAsync(factory, listener.LocalEndPoint!, count);
        var (descriptors, rented) = (CountDescriptors() - descriptorsBefore, blocks.Count - blocksBefore);

        listener.Dispose();
        await echoing;
        figures.AddTable(
            $"  {count:N0} connects, {graceful:N0} graceful closes; {descriptors} descriptors and {rented} blocks are left",
            failures: (count - graceful) + Math.Max(0, descriptors) + (int)Math.Max(0, rented));
    }

    private static int CountDescriptors() => Directory.GetFiles("/proc/self/fd").Length;

    private static async Task<int> ConnectAsync(IConnectionFactory factory, EndPoint endPoint, int count)
    {
        var graceful = 0;
        for (var i = 0; i < count; i++)
        {
            await using var connection = await factory.ConnectAsync(endPoint);
            var result = await connection.RunGracefullyAsync(async (connection, closeRequested) =>
            {
                await connection.Transport.Output.WriteAsync(new byte[100], closeRequested);
                var read = await connection.Transport.Input.ReadAtLeastAsync(100, closeRequested);
                connection.Transport.Input.AdvanceTo(read.Buffer.End);
            });
            graceful += result.Outcome == CloseOutcome.Graceful ? 1 : 0;
        }

        return graceful;
    }

    private static async Task EchoAsync(Socket listener)
    {
        var buffer = new byte[100];
        while (true)
        {
            try
            {
                using var socket = await listener.AcceptAsync();
                while (await socket.ReceiveAsync(buffer) is var received and > 0)
                {
                    await socket.SendAsync(buffer.AsMemory(0, received));
                }
            }
            catch (Exception exception) when (
                exception is ObjectDisposedException or SocketException { SocketErrorCode: SocketError.OperationAborted })
            {
                return; // The listener was closed, before the accept or in it.
            }
        }
    }
}
