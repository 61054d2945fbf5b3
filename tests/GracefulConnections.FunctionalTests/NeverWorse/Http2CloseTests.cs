using System.Net;
using GracefulConnections.FunctionalTests.Http;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>HTTP/2 with prior knowledge: an ordinary close by the client is told as one.</summary>
public class Http2CloseTests
{
    [Fact]
    public async Task Close_ByTheClientAfterItsAnswer_IsGraceful()
    {
        const int count = 20;
        await using var server = await HttpServer.StartAsync(
            static context =>
            {
                context.Response.StatusCode = (int)HttpStatusCode.NoContent;
                return Task.CompletedTask;
            },
            protocols: HttpProtocols.Http2);
        var outcomes = new List<(CloseOutcome, PeerSaw)>();
        for (var i = 0; i < count; i++)
        {
            await using var peer = await Http2Peer.ConnectAsync(server, TlsPlacement.Plaintext);
            var stream = await peer.GetAsync();
            await peer.ReadUntilAsync(frame => frame.Type == Http2Frame.Headers && frame.StreamId == stream);
            await peer.HalfCloseAsync();
            var (_, end) = await peer.ReadToEndAsync();
            outcomes.Add(((await server.NextResultAsync()).Outcome, end));
        }

        Assert.Equal(Enumerable.Repeat((CloseOutcome.Graceful, PeerSaw.Eof), count), outcomes);
    }
}
