using System.Buffers.Binary;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>A handler that flushes one small message after the other, and reads nothing in between.</summary>
public class FeedTests(ITestOutputHelper output)
{
    private const int MessageCount = 20_000;
    private const int MessageBytes = 64;
    private const uint MostSegments = MessageCount / 20; // The kernel merges some by itself, and still sent more than 1,500 of one send each.
    private const int TcpInfoOption = 11; // TCP_INFO of tcp(7).
    private const int DataSegmentsInOffset = 152; // Of tcpi_data_segs_in in struct tcp_info.

    // The messages that the handler flushes while the kernel takes the first ones go together. It was a system call,
    // and a segment, for each.
    [Fact]
    public async Task Messages_GoTogether_AsOnStock()
    {
        var stock = await CountAsync(TestServer.StartStockAsync);
        var graceful = await CountAsync(static handler => TestServer.StartAsync(handler));

        output.WriteLine($"{MessageCount} messages came in {stock} segments from stock, in {graceful} from ours.");
        Assert.InRange(stock, 1u, MostSegments);
        Assert.InRange(graceful, 1u, MostSegments);
    }

    private static async Task<uint> CountAsync(Func<Func<ConnectionContext, Task>, Task<TestServer>> startAsync)
    {
        await using var server = await startAsync(static async connection =>
        {
            await connection.ReadExactlyAsync(1);
            for (var i = 0; i < MessageCount; i++)
            {
                await connection.Transport.Output.WriteAsync(new byte[MessageBytes]);
            }
        });
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[1]);
        await peer.ReadExactlyAsync(MessageCount * MessageBytes);
        var info = new byte[DataSegmentsInOffset + sizeof(uint)];
        peer.Socket.GetRawSocketOption((int)SocketOptionLevel.Tcp, TcpInfoOption, info);
        return BinaryPrimitives.ReadUInt32LittleEndian(info.AsSpan(DataSegmentsInOffset));
    }
}
