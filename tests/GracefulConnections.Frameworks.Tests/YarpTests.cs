using System.Net.WebSockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Yarp.ReverseProxy.Configuration;

namespace GracefulConnections.Frameworks.Tests;

/// <summary>YARP in front of a slow upstream.</summary>
public class YarpTests
{
    private const int ClientCount = 8;

    [Fact]
    public async Task Stop_RequestsInHand_NoMoreAreLostThanOnStock()
    {
        var figures = await Comparison.RunAsync("YARP, requests", static setup => RunAsync(setup, GetAsync));
        Assert.Equal(0, figures[Setup.Draining].Lost);
    }

    [Fact]
    public async Task Stop_WebSocketsInHand_NoMoreAreLostThanOnStock()
    {
        var figures = await Comparison.RunAsync("YARP, WebSockets", static setup => RunAsync(setup, TalkAsync));
        Assert.Equal(0, figures[Setup.Draining].Lost);
    }

    private static async Task<StopFigures> RunAsync(Setup setup, Func<int, Task> call)
    {
        FrameworkServer? proxy = null;
        await using var upstream = await FrameworkServer.StartAsync(Setup.Stock, static _ => { }, app =>
        {
            app.UseWebSockets();
            app.Run(context => ServeAsync(context, proxy!.Gate));
        });
        await using (proxy = await FrameworkServer.StartAsync(
            setup,
            services => services.AddReverseProxy().LoadFromMemory(
                [new RouteConfig { RouteId = "all", ClusterId = "upstream", Match = new RouteMatch { Path = "{**rest}" } }],
                [
                    new ClusterConfig
                    {
                        ClusterId = "upstream",
                        Destinations = new Dictionary<string, DestinationConfig>
                        {
                            ["one"] = new() { Address = $"http://127.0.0.1:{upstream.Port}" },
                        },
                    },
                ]),
            static app => app.MapReverseProxy()))
        {
            var port = proxy.Port;
            return await proxy.StopUnderLoadAsync(
                [.. Enumerable.Range(0, ClientCount).Select(_ => (Func<Task>)(() => call(port)))]);
        }
    }

    private static async Task ServeAsync(HttpContext context, Gate gate)
    {
        if (!context.WebSockets.IsWebSocketRequest)
        {
            await gate.PassAsync();
            await context.Response.WriteAsync("done");
            return;
        }

        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        var buffer = new byte[100];
        var received = await socket.ReceiveAsync(buffer, context.RequestAborted);
        await gate.PassAsync();
        await socket.SendAsync(
            buffer.AsMemory(0, received.Count), WebSocketMessageType.Text, endOfMessage: true, context.RequestAborted);
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, context.RequestAborted);
    }

    private static async Task GetAsync(int port)
    {
        using var client = new HttpClient();
        Assert.Equal("done", await client.GetStringAsync($"http://127.0.0.1:{port}/work"));
    }

    private static async Task TalkAsync(int port)
    {
        using var limit = new CancellationTokenSource(Waiting.Limit);
        using var socket = new ClientWebSocket();
        await socket.ConnectAsync(new Uri($"ws://127.0.0.1:{port}/talk"), limit.Token);
        await socket.SendAsync("hello"u8.ToArray(), WebSocketMessageType.Text, endOfMessage: true, limit.Token);
        var buffer = new byte[100];
        var received = await socket.ReceiveAsync(buffer, limit.Token);
        Assert.Equal("hello"u8, buffer.AsSpan(0, received.Count));
        Assert.Equal(WebSocketMessageType.Close, (await socket.ReceiveAsync(buffer, limit.Token)).MessageType);
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, limit.Token);
    }
}
