using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Http;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>A peer that goes away must be noticed by the request that serves it, as on stock Kestrel.</summary>
public class RequestAbortedTests
{
    private const string Get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    [Theory]
    [InlineData(TlsPlacement.Plaintext, false)]
    [InlineData(TlsPlacement.Plaintext, true)]
    [InlineData(TlsPlacement.Inside, false)]
    [InlineData(TlsPlacement.Inside, true)]
    [InlineData(TlsPlacement.Outside, false)]
    [InlineData(TlsPlacement.Both, false)]
    [InlineData(TlsPlacement.Outside, true)]
    [InlineData(TlsPlacement.Both, true)]
    public async Task RequestAborted_PeerLeavesWhileTheHandlerWaits_IsTriggered(TlsPlacement placement, bool withReset)
    {
        var serving = new TaskCompletionSource();
        var aborted = new TaskCompletionSource();
        await using var server = await HttpServer.StartAsync(
            async context =>
            {
                serving.SetResult();
                await UntilAsync(context.RequestAborted);
                aborted.SetResult();
            },
            placement);
        await using var peer = await HttpPeer.ConnectAsync(server, placement);
        await peer.SendAsync(Get);
        await serving.Task.InTimeAsync();

        Leave(peer, withReset);

        await aborted.Task.InTimeAsync();
        await server.AssertEndedByPeerAsync();
    }

    [Theory]
    [InlineData(TlsPlacement.Plaintext, false)]
    [InlineData(TlsPlacement.Plaintext, true)]
    [InlineData(TlsPlacement.Inside, false)]
    [InlineData(TlsPlacement.Inside, true)]
    [InlineData(TlsPlacement.Outside, false)]
    [InlineData(TlsPlacement.Both, false)]
    [InlineData(TlsPlacement.Outside, true)]
    [InlineData(TlsPlacement.Both, true)]
    public async Task RequestAborted_PeerLeavesDuringALongResponse_IsTriggered(TlsPlacement placement, bool withReset)
    {
        var aborted = new TaskCompletionSource();
        await using var server = await HttpServer.StartAsync(
            async context =>
            {
                context.RequestAborted.UnsafeRegister(_ => aborted.SetResult(), null);
                var part = new byte[16 * 1024];
                while (!context.RequestAborted.IsCancellationRequested)
                {
                    await context.Response.Body.WriteAsync(part);
                }
            },
            placement);
        await using var peer = await HttpPeer.ConnectAsync(server, placement);
        await peer.SendAsync(Get);
        await peer.ReadExactlyAsync(3_000_000);

        Leave(peer, withReset);

        await aborted.Task.InTimeAsync();
        await server.AssertEndedByPeerAsync();
    }

    [Theory]
    [InlineData(TlsPlacement.Plaintext)]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task RequestAborted_PeerLeavesAmidItsUpload_IsTriggered(TlsPlacement placement)
    {
        var started = new TaskCompletionSource();
        var aborted = new TaskCompletionSource();
        await using var server = await HttpServer.StartAsync(
            async context =>
            {
                context.RequestAborted.UnsafeRegister(_ => aborted.SetResult(), null);
                started.SetResult();
                try
                {
                    await context.Request.Body.CopyToAsync(Stream.Null);
                }
                catch (Exception exception) when (exception is BadHttpRequestException or IOException)
                {
                    await UntilAsync(context.RequestAborted); // The body ended too early; so it says.
                }
            },
            placement);
        await using var peer = await HttpPeer.ConnectAsync(server, placement);
        await peer.SendAsync("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n");
        await peer.SendAsync(new byte[100_000]);

        await started.Task.InTimeAsync(); // A reset that overtakes the request leaves nothing to be aborted.

        peer.Close();

        await aborted.Task.InTimeAsync();
        await server.AssertEndedByPeerAsync();
    }

    private static void Leave(HttpPeer peer, bool withReset)
    {
        if (withReset)
        {
            peer.Reset();
        }
        else
        {
            peer.Close();
        }
    }

    private static async Task UntilAsync(CancellationToken token)
    {
        var reached = new TaskCompletionSource();
        await using var registration = token.UnsafeRegister(_ => reached.SetResult(), null);
        await reached.Task.InTimeAsync();
    }
}
