using System.Net;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples;

/// <summary>What clients of the sample see when SIGTERM arrives.</summary>
[Collection(SerialTests.Name)]
public sealed class RespServerStopTests
{
    private const int ClientCount = 20;
    private const int BatchCount = 16;
    private const int SmallBufferBytes = 16 * 1024;
    private const string Pong = "+PONG\r\n";
    private const string Ok = "+OK\r\n";
    private const string Goodbye = "-SHUTDOWN the server is stopping, reconnect\r\n";

    // Half of the clients wait for their replies, as most do. The other half never pause, and receive little at a time: the server has to say itself where it stops, and then
    // its kernel still holds replies for them, and requests that nobody will read. That is what a plain close turns into lost replies.
    [Theory]
    [InlineData(1)]
    [InlineData(20)]
    [InlineData(200)]
    public async Task Stop_UnderLoad_NoReplyIsTruncated(int repliesBefore)
    {
        await using var server = await RespServer.StartAsync("--Drain:DrainTimeout", $"{TestServer.TestLimit}"); // A slow machine is not what is tested.
        await RespLoadClient.PrepareAsync(server);
        var clients = new List<RespLoadClient>();
        try
        {
            for (var i = 0; i < ClientCount; i++)
            {
                clients.Add(i % 2 == 0
                    ? new RespLoadClient(await server.ConnectAsync(), seed: i, maxUnanswered: BatchCount)
                    : new RespLoadClient(await server.ConnectAsync(socket => socket.ReceiveBufferSize = SmallBufferBytes), seed: i, maxUnanswered: int.MaxValue));
            }

            var runs = clients.ConvertAll(client => client.RunAsync());
            await Eventually.IsTrueAsync(() => clients.TrueForAll(client => client.ReplyCount >= repliesBefore));

            server.Sample.Terminate();

            Assert.All(await Task.WhenAll(runs).InTimeAsync(), end => Assert.Equal(PeerSaw.Eof, end));
            Assert.All(clients, client => Assert.Equal(0, client.PartBytes));
        }
        finally
        {
            foreach (var client in clients)
            {
                await client.DisposeAsync();
            }
        }

        Assert.Equal(0, await server.Sample.WaitForExitAsync());
        Assert.DoesNotContain("fail:", server.Sample.Log, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, "")]
    [InlineData(true, Goodbye)]
    public async Task Stop_IdleClient_SeesFinAndGoodbyeIfAskedFor(bool goodbye, string last)
    {
        await using var server = await RespServer.StartAsync("--Resp:Goodbye", $"{goodbye}");
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync("PING\r\n"u8.ToArray());
        Assert.Equal(Pong, await RespServer.ReadExactlyAsync(peer, Pong.Length));

        server.Sample.Terminate();

        Assert.Equal(last, await RespServer.ReadToFinAsync(peer));
        peer.HalfClose();
        Assert.Equal(0, await server.Sample.WaitForExitAsync());
    }

    [Theory]
    [InlineData(false, "")]
    [InlineData(true, Goodbye)]
    public async Task Stop_BusyClient_GetsEveryReplyThenFin(bool goodbye, string last)
    {
        await using var server = await RespServer.StartAsync("--Resp:Goodbye", $"{goodbye}");
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync("PING\r\nDEBUG SLEEP 0.5\r\nECHO 1\r\n"u8.ToArray());
        Assert.Equal(Pong, await RespServer.ReadExactlyAsync(peer, Pong.Length)); // It sleeps.
        await peer.SendAsync("ECHO 2\r\n"u8.ToArray());

        server.Sample.Terminate();

        Assert.Equal(Ok + RespServer.Bulk("1") + RespServer.Bulk("2") + last, await RespServer.ReadToFinAsync(peer));
        peer.HalfClose();
        Assert.Equal(0, await server.Sample.WaitForExitAsync());
    }

    [Fact]
    public async Task Stop_HalfACommandInHand_GetsTheRestAndItsReply()
    {
        await using var server = await RespServer.StartAsync();
        await using var idle = await server.ConnectAsync();
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync("PING\r\nECHO he"u8.ToArray());
        Assert.Equal(Pong, await RespServer.ReadExactlyAsync(peer, Pong.Length));

        server.Sample.Terminate();
        Assert.Empty(await RespServer.ReadToFinAsync(idle)); // All were asked to close.
        await peer.SendAsync("llo\r\n"u8.ToArray());

        Assert.Equal(RespServer.Bulk("hello"), await RespServer.ReadToFinAsync(peer));
        peer.HalfClose();
        idle.HalfClose();
        Assert.Equal(0, await server.Sample.WaitForExitAsync());
    }

    [Fact]
    public async Task Stop_HalfACommandForever_HoldsTheServerUntilTheDeadlineOnly()
    {
        await using var server = await RespServer.StartAsync("--Drain:DrainTimeout", "00:00:00.5");
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync("PING\r\nECHO he"u8.ToArray());
        Assert.Equal(Pong, await RespServer.ReadExactlyAsync(peer, Pong.Length));

        server.Sample.Terminate();

        Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());
        Assert.Equal(0, await server.Sample.WaitForExitAsync());
    }

    // A load balancer needs time to see that the server is not ready, and sends clients until then. An operator's SIGINT
    // ends that time, however long it was to be. A second SIGTERM does not, and neither does a signal right behind the first.
    [Fact]
    public async Task Stop_Announced_IsNotReadyAndServesUntilTheOperatorsSignal()
    {
        await using var server = await RespServer.StartAsync("--Drain:AnnounceDelay", "00:10:00");
        using var http = new HttpClient();
        var ready = new Uri($"http://127.0.0.1:{server.HttpPort}/ready");
        Assert.Equal(HttpStatusCode.OK, await GetStatusAsync());

        server.Sample.Terminate();
        while (await GetStatusAsync() == HttpStatusCode.OK)
        {
        }

        server.Sample.Terminate();
        var announced = TimeProvider.System.GetTimestamp();
        do
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, await GetStatusAsync());
            Assert.Equal(Pong, await server.ExchangeAsync("PING\r\n"));
        }
        while (TimeProvider.System.GetElapsedTime(announced) < TimeSpan.FromSeconds(0.6)); // 0.5 s is the same request.

        server.Sample.Interrupt();
        Assert.Equal(0, await server.Sample.WaitForExitAsync());

        async Task<HttpStatusCode> GetStatusAsync()
        {
            using var response = await http.GetAsync(ready, TestContext.Current.CancellationToken);
            return response.StatusCode;
        }
    }
}
