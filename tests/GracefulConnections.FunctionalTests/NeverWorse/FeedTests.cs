using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>A handler that flushes one small message after the other, and reads nothing in between.</summary>
public class FeedTests(ITestOutputHelper output)
{
    private const int MessageCount = 20_000;
    private const int MessageBytes = 64;
    private const uint MostSegments = MessageCount / 20; // The kernel merges some by itself, and still sent more than 1,500 of one send each.
    private const int TcpInfoOption = 11; // TCP_INFO of tcp(7).
    private const int DataSegmentsInOffset = 152; // Of tcpi_data_segs_in in struct tcp_info.
    private const int NotSentBytesOffset = 144; // Of tcpi_notsent_bytes: what the kernel has and keeps for later.
    private const int BytesSentOffset = 200; // Of tcpi_bytes_sent.

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

    // Every thread of the pool may be blocked by handlers, and such a server needs none to send. Those of a feed waited
    // for one.
    [Fact]
    public async Task Messages_ServerSendsInline_AreOnTheirWayWhenTheFlushReturns_AsOnStock()
    {
        var stock = await CountLateAsync(static endpoint => { });
        var graceful = await CountLateAsync(static endpoint => endpoint.UseGracefulShutdown());

        Assert.Equal((0, 0), (stock, graceful));
    }

    // How many of 100 messages are not in the kernel when their flush has returned.
    private static async Task<int> CountLateAsync(Action<ListenOptions> configure)
    {
        const int Messages = 100;
        var late = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (_, endpoint) =>
            {
                configure(endpoint);
                endpoint.Run(async connection =>
                {
                    var socket = connection.Features.GetRequiredFeature<IConnectionSocketFeature>().Socket;
                    var info = new byte[BytesSentOffset + sizeof(ulong)];
                    var count = 0;
                    for (var i = 1; i <= Messages; i++)
                    {
                        await connection.Transport.Output.WriteAsync(new byte[MessageBytes]);
                        socket.GetRawSocketOption((int)SocketOptionLevel.Tcp, TcpInfoOption, info);
                        var taken = BinaryPrimitives.ReadUInt64LittleEndian(info.AsSpan(BytesSentOffset))
                            + BinaryPrimitives.ReadUInt32LittleEndian(info.AsSpan(NotSentBytesOffset));
                        count += taken < (ulong)(i * MessageBytes) ? 1 : 0;
                    }

                    late.SetResult(count);
                });
            },
            static builder => builder.WebHost.UseSockets(static sockets => sockets.UnsafePreferInlineScheduling = true));
        await using var peer = await server.ConnectAsync();
        await peer.ReadExactlyAsync(Messages * MessageBytes);
        return await late.Task.WaitAsync(TestServer.TestLimit);
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
