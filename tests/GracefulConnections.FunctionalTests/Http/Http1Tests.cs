using System.Globalization;
using System.Text;
using GracefulConnections.FunctionalTests.RealClients;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Http;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>HTTP/1.1 as Kestrel speaks it must be the same with <c>UseGracefulShutdown()</c>, byte for byte, and must end without RST.</summary>
public class Http1Tests
{
    private const string Get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    private const string LastGet = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

    [Theory]
    [InlineData(TlsPlacement.Plaintext)]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task KeepAlive_ManyRequests_AreServedOnOneConnectionUntilThePeerEndsIt(TlsPlacement placement)
    {
        const int requestCount = 50;
        await using var server = await HttpServer.StartAsync(Answers.SendReplyAsync, placement);
        await using var peer = await HttpPeer.ConnectAsync(server, placement);
        for (var i = 0; i < requestCount; i++)
        {
            var answer = await peer.AskAsync(Get);
            Assert.Equal((200, false), (answer.Status, answer.ClosesConnection));
            Assert.Equal(Reply.Hash, answer.Hash);
        }

        await peer.HalfCloseAsync();

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await server.AssertEndedByPeerAsync();
    }

    [Theory]
    [InlineData(TlsPlacement.Plaintext)]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task ConnectionClose_WholeAnswer_IsFollowedByFin(TlsPlacement placement)
    {
        await using var server = await HttpServer.StartAsync(Answers.SendReplyAsync, placement);
        await using var peer = await HttpPeer.ConnectAsync(server, placement);

        var answer = await peer.AskAsync(LastGet);

        Assert.Equal((200, true, Reply.Hash), (answer.Status, answer.ClosesConnection, answer.Hash));
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await server.AssertGracefulAsync();
    }

    [Theory]
    [InlineData(TlsPlacement.Plaintext)]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task Pipelining_ManyRequestsAtOnce_AreAnsweredInOrderAndThenFin(TlsPlacement placement)
    {
        const int requestCount = 50;
        await using var server = await HttpServer.StartAsync(EchoPathAsync, placement);
        await using var peer = await HttpPeer.ConnectAsync(server, placement);
        var requests = new StringBuilder();
        for (var i = 0; i < requestCount; i++)
        {
            var connection = i == requestCount - 1 ? "Connection: close\r\n" : "";
            requests.Append(CultureInfo.InvariantCulture, $"GET /{i} HTTP/1.1\r\nHost: localhost\r\n{connection}\r\n");
        }

        await peer.SendAsync(requests.ToString());

        for (var i = 0; i < requestCount; i++)
        {
            var answer = await peer.ReadAnswerAsync();
            Assert.Equal(($"/{i}", i == requestCount - 1), (Encoding.ASCII.GetString(answer.Body), answer.ClosesConnection));
        }

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await server.AssertGracefulAsync();
    }

    [Theory]
    [InlineData(TlsPlacement.Plaintext)]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task ChunkedUpload_Complete_IsReadWhole(TlsPlacement placement)
    {
        const int chunkBytes = 10_000;
        const int chunkCount = 90; // Just below the limit of the body.
        await using var server = await HttpServer.StartAsync(CountBodyAsync, placement);
        await using var peer = await HttpPeer.ConnectAsync(server, placement);
        await peer.SendAsync("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
        for (var i = 0; i < chunkCount; i++)
        {
            await peer.SendAsync($"{chunkBytes:x}\r\n{new string('c', chunkBytes)}\r\n");
        }

        await peer.SendAsync("0\r\n\r\n");

        var answer = await peer.ReadAnswerAsync();
        Assert.Equal((200, $"{chunkBytes * chunkCount}"), (answer.Status, Encoding.ASCII.GetString(answer.Body)));
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await server.AssertGracefulAsync();
    }

    [Theory]
    [InlineData(TlsPlacement.Plaintext)]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task ExpectContinue_Accepted_BodyIsAskedForAndRead(TlsPlacement placement)
    {
        const int bodyBytes = 500_000;
        await using var server = await HttpServer.StartAsync(CountBodyAsync, placement);
        await using var peer = await HttpPeer.ConnectAsync(server, placement);

        var interim = await peer.AskAsync($"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bodyBytes}\r\nExpect: 100-continue\r\n\r\n");
        Assert.Equal(100, interim.Status);
        await peer.SendAsync(new byte[bodyBytes]);

        var answer = await peer.ReadAnswerAsync();
        Assert.Equal((200, false, $"{bodyBytes}"), (answer.Status, answer.ClosesConnection, Encoding.ASCII.GetString(answer.Body)));
        Assert.Equal(200, (await peer.AskAsync(Get)).Status); // The connection goes on.
    }

    [Theory]
    [InlineData(TlsPlacement.Plaintext)]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task ExpectContinue_Rejected_PeerThatNeverSendsTheBodyReadsTheAnswerAndFin(TlsPlacement placement)
    {
        await using var server = await HttpServer.StartAsync(CountBodyAsync, placement);
        await using var peer = await HttpPeer.ConnectAsync(server, placement);

        var answer = await peer.AskAsync("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\nExpect: 100-continue\r\n\r\n");

        Assert.Equal((413, true), (answer.Status, answer.ClosesConnection));
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await server.AssertGracefulAsync();
    }

    private static Task EchoPathAsync(HttpContext context) => Answers.SendTextAsync(context, context.Request.Path);

    private static async Task CountBodyAsync(HttpContext context)
    {
        var buffer = new byte[64 * 1024];
        long total = 0;
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer, context.RequestAborted)) > 0)
        {
            total += read;
        }

        await Answers.SendTextAsync(context, total.ToString(CultureInfo.InvariantCulture));
    }
}
