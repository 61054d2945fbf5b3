using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>Into how many records a reply goes. Each costs its own encryption, and 22 bytes or more on the wire.</summary>
public class TlsRecordSizeTests
{
    private const int ReplyBytes = 100_000;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task LargeReply_GoesIntoTheLargestRecords(bool atOnce)
    {
        var stock = await CountAsync(handler => TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (_, endpoint) => endpoint.UseHttps(TestCertificate.Server).Run(connection => handler(connection))));
        var graceful = await CountAsync(handler => TestServer.StartTlsAsync(TlsPlacement.Inside, handler));

        Assert.Equal((ReplyBytes, ReplyBytes), (stock.Bytes, graceful.Bytes));
        Assert.Equal((atOnce ? 6 : 24, 6), (stock.Records, graceful.Records)); // And what is left of the reply.

        async Task<(int Bytes, int Records)> CountAsync(Func<Func<ConnectionContext, Task>, Task<TestServer>> startAsync)
        {
            await using var server = await startAsync(connection => ReplyAsync(connection, atOnce));
            await using var peer = await TappedPeer.ConnectAsync(server);
            await peer.SendAsync(new byte[1]);
            var reply = await peer.ReadToEndAsync();
            return (reply.Length, TlsRecords.CountLarge(peer.Received));
        }
    }

    // At once, or as a serializer does: into whatever memory the output has, and one flush behind all of it.
    private static async Task ReplyAsync(ConnectionContext connection, bool atOnce)
    {
        await connection.ReadExactlyAsync(1);
        var output = connection.Transport.Output;
        if (atOnce)
        {
            await output.WriteAsync(new byte[ReplyBytes]);
            return;
        }

        for (var left = ReplyBytes; left > 0;)
        {
            var count = Math.Min(left, output.GetMemory().Length);
            output.Advance(count);
            left -= count;
        }

        await output.FlushAsync();
    }
}
