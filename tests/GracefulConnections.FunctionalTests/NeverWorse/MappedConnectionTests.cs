using System.Net;
using System.Net.WebSockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// Handlers of <c>MapConnections()</c>. Their connections are WebSockets without a socket of their own, and the server
/// tells the peer by the status of the close how the handler ended.
/// </summary>
public class MappedConnectionTests
{
    private const int ReplyBytes = 100_000;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task WebSocket_HandlerThrows_PeerReadsThatItFailed(bool isStock)
    {
        var (_, status) = await PlayAsync(
            isStock,
            static async connection =>
            {
                await connection.SendAsync(ReplyBytes);
                throw new InvalidOperationException("Half of the reply is missing.");
            });

        Assert.Equal(WebSocketCloseStatus.InternalServerError, status);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task WebSocket_OutputCompletedWithAnException_PeerReadsAllAndThatItFailed(bool isStock)
    {
        var (bytes, status) = await PlayAsync(
            isStock,
            static async connection =>
            {
                await connection.SendAsync(ReplyBytes);
                await connection.Transport.Output.CompleteAsync(new InvalidOperationException("The rest of the reply is missing."));
            });

        Assert.Equal((ReplyBytes, WebSocketCloseStatus.InternalServerError), (bytes, status));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task WebSocket_HandlerReturns_PeerReadsAllAndTheEnd(bool isStock)
    {
        var (bytes, status) = await PlayAsync(isStock, static connection => connection.SendAsync(ReplyBytes));

        Assert.Equal((ReplyBytes, WebSocketCloseStatus.NormalClosure), (bytes, status));
    }

    private static async Task<(int Bytes, WebSocketCloseStatus? Status)> PlayAsync(bool isStock, ConnectionDelegate handler)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddConnections();
        var port = FreePort.Find();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port));
        await using var app = builder.Build();
        app.MapConnections("/mapped", connections =>
        {
            if (!isStock)
            {
                connections.UseGracefulShutdown();
            }

            connections.Run(connection => handler(connection));
        });
        await app.StartAsync().InTimeAsync();
        using var peer = new ClientWebSocket();
        await peer.ConnectAsync(new Uri($"ws://127.0.0.1:{port}/mapped"), CancellationToken.None).InTimeAsync();
        var (buffer, bytes) = (new byte[ReplyBytes], 0);
        while (await peer.ReceiveAsync(buffer, CancellationToken.None).InTimeAsync()
            is { MessageType: not WebSocketMessageType.Close } received)
        {
            bytes += received.Count;
        }

        return (bytes, peer.CloseStatus);
    }
}
