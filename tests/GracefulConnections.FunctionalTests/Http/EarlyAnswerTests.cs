using System.Text;
using GracefulConnections.FunctionalTests.RealClients;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>An answer that comes while the request's body is still on its way: all of it must arrive, and the peer must be able to send the whole body without being reset.</summary>
public class EarlyAnswerTests
{
    private const int BodyBytes = 20_000_000;
    private const int FirstPartBytes = 5_000_000;
    private const int ChunkBytes = 50_000;

    [Theory]
    [InlineData(TlsPlacement.Plaintext, StatusCodes.Status413PayloadTooLarge)]
    [InlineData(TlsPlacement.Plaintext, StatusCodes.Status401Unauthorized)]
    [InlineData(TlsPlacement.Inside, StatusCodes.Status413PayloadTooLarge)]
    [InlineData(TlsPlacement.Inside, StatusCodes.Status401Unauthorized)]
    [InlineData(TlsPlacement.Outside, StatusCodes.Status413PayloadTooLarge)]
    [InlineData(TlsPlacement.Both, StatusCodes.Status413PayloadTooLarge)]
    [InlineData(TlsPlacement.Outside, StatusCodes.Status401Unauthorized)]
    [InlineData(TlsPlacement.Both, StatusCodes.Status401Unauthorized)]
    public async Task EarlyAnswer_BodyOfKnownLengthInFlight_IsReadWholeAndThenFin(TlsPlacement placement, int status)
    {
        await using var server = await HttpServer.StartAsync(RejectAsync, placement);
        await using var peer = await HttpPeer.ConnectAsync(server, placement);

        await peer.SendAsync($"POST /{status} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BodyBytes}\r\n\r\n");
        await peer.SendAsync(new byte[FirstPartBytes]);
        await AssertAnswerAsync(peer, status);
        await peer.SendAsync(new byte[BodyBytes - FirstPartBytes]);

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await server.AssertGracefulAsync();
    }

    [Theory]
    [InlineData(TlsPlacement.Plaintext, StatusCodes.Status413PayloadTooLarge)]
    [InlineData(TlsPlacement.Plaintext, StatusCodes.Status401Unauthorized)]
    [InlineData(TlsPlacement.Inside, StatusCodes.Status413PayloadTooLarge)]
    [InlineData(TlsPlacement.Inside, StatusCodes.Status401Unauthorized)]
    [InlineData(TlsPlacement.Outside, StatusCodes.Status413PayloadTooLarge)]
    [InlineData(TlsPlacement.Both, StatusCodes.Status413PayloadTooLarge)]
    [InlineData(TlsPlacement.Outside, StatusCodes.Status401Unauthorized)]
    [InlineData(TlsPlacement.Both, StatusCodes.Status401Unauthorized)]
    public async Task EarlyAnswer_ChunkedBodyInFlight_IsReadWholeAndThenFin(TlsPlacement placement, int status)
    {
        await using var server = await HttpServer.StartAsync(RejectAsync, placement);
        await using var peer = await HttpPeer.ConnectAsync(server, placement);

        await peer.SendAsync($"POST /{status} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        await SendChunksAsync(peer, FirstPartBytes);
        await AssertAnswerAsync(peer, status);
        await SendChunksAsync(peer, BodyBytes - FirstPartBytes);
        await peer.SendAsync("0\r\n\r\n");

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await server.AssertGracefulAsync();
    }

    [Theory]
    [InlineData(TlsPlacement.Plaintext, StatusCodes.Status413PayloadTooLarge)]
    [InlineData(TlsPlacement.Plaintext, StatusCodes.Status401Unauthorized)]
    [InlineData(TlsPlacement.Inside, StatusCodes.Status413PayloadTooLarge)]
    [InlineData(TlsPlacement.Inside, StatusCodes.Status401Unauthorized)]
    [InlineData(TlsPlacement.Outside, StatusCodes.Status413PayloadTooLarge)]
    [InlineData(TlsPlacement.Outside, StatusCodes.Status401Unauthorized)]
    [InlineData(TlsPlacement.Both, StatusCodes.Status413PayloadTooLarge)]
    [InlineData(TlsPlacement.Both, StatusCodes.Status401Unauthorized)]
    public async Task EarlyAnswer_BodyTakesLongerThanKestrelsLimits_IsStillReadToItsEnd(TlsPlacement placement, int status)
    {
        const string text = "No."; // Short, as such answers are: Kestrel gives a long one more time.
        const int partCount = 40;
        await using var server = await HttpServer.StartAsync(
            context => RejectAsync(context, context => Answers.SendTextAsync(context, text)),
            placement,
            build: builder => builder.WebHost.ConfigureKestrel(kestrel =>
            {
                kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(1.1));
                kestrel.Limits.MinResponseDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(1.1));
            }));
        await using var peer = await HttpPeer.ConnectAsync(server, placement);
        await peer.SendAsync($"POST /{status} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BodyBytes}\r\n\r\n");
        await peer.SendAsync(new byte[FirstPartBytes]);

        using var pace = new PeriodicTimer(TimeSpan.FromMilliseconds(100)); // Four seconds: more than the grace period and Kestrel's heartbeat of a second.
        for (var i = 0; i < partCount; i++)
        {
            await pace.WaitForNextTickAsync(TestContext.Current.CancellationToken);
            await peer.SendAsync(new byte[(BodyBytes - FirstPartBytes) / partCount]);
        }

        var answer = await peer.ReadAnswerAsync(); // As clients do that send first and read then.
        Assert.Equal((status, text), (answer.Status, Encoding.ASCII.GetString(answer.Body)));
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await server.AssertGracefulAsync();
    }

    private static async Task AssertAnswerAsync(HttpPeer peer, int status)
    {
        var answer = await peer.ReadAnswerAsync();
        Assert.Equal((status, Reply.Hash), (answer.Status, answer.Hash));
    }

    private static async Task SendChunksAsync(HttpPeer peer, int bytes)
    {
        for (var sent = 0; sent < bytes; sent += ChunkBytes)
        {
            await peer.SendAsync($"{ChunkBytes:x}\r\n{new string('c', ChunkBytes)}\r\n");
        }
    }

    private static Task RejectAsync(HttpContext context) => RejectAsync(context, Answers.SendReplyAsync);

    // By the path: as a middleware that rejects without looking at the body, or as an application that learns from Kestrel that it is too large.
    private static async Task RejectAsync(HttpContext context, RequestDelegate answer)
    {
        context.Response.StatusCode = StatusCodes.Status401Unauthorized;
        if (context.Request.Path != "/401")
        {
            try
            {
                await context.Request.Body.CopyToAsync(Stream.Null, context.RequestAborted);
            }
            catch (Microsoft.AspNetCore.Http.BadHttpRequestException exception)
            {
                context.Response.StatusCode = exception.StatusCode;
            }
        }

        await answer(context);
    }
}
