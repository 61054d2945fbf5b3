using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;

namespace GracefulConnections.FunctionalTests;

/// <summary>The handler that closes gracefully wherever it runs.</summary>
public class GracefulConnectionHandlerTests
{
    private const int MessageBytes = 1000;

    [Fact]
    public async Task Goodbye_OnAnEndpointThatNobodyConfigured_ArrivesBeforeOurFin()
    {
        await using var server = await TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (_, endpoint) => endpoint.Run(new FarewellHandler().OnConnectedAsync));
        await AssertEchoThenGoodbyeAsync(server);
    }

    [Fact]
    public async Task Goodbye_OnAGracefulEndpoint_IsSaidOnce()
    {
        await using var server = await TestServer.StartAsync(new FarewellHandler().OnConnectedAsync);
        await AssertEchoThenGoodbyeAsync(server);
        var result = await server.NextResultAsync();
        Assert.Equal((CloseReason.HostStopping, CloseOutcome.Graceful, 0), (result.Reason, result.Outcome, result.UnacknowledgedBytes));
    }

    [Fact]
    public async Task Goodbye_EndpointHasOneToo_IsSaidAfterTheHandlers()
    {
        await using var server = await TestServer.StartAsync(
            new FarewellHandler().OnConnectedAsync,
            options => options.Goodbye = async (connection, _, cancellationToken) => await connection.Transport.Output.WriteAsync("!"u8.ToArray(), cancellationToken));
        await AssertEchoThenGoodbyeAsync(server, "HostStopping!");
    }

    [Fact]
    public async Task Goodbye_PeerEndsTheConnection_IsNotSaid()
    {
        await using var server = await TestServer.StartAsync(new FarewellHandler().OnConnectedAsync);
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[MessageBytes]);
        peer.HalfClose();

        Assert.Equal((MessageBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        Assert.Equal(CloseReason.HandlerCompleted, (await server.NextResultAsync()).Reason);
    }

    [Fact]
    public async Task Reply_PeerStillUploadingToAnEndpointThatNobodyConfigured_ArrivesWhole()
    {
        const int replyBytes = 1_500_000;
        var handler = new ReplyHandler(replyBytes);
        await using var server = await TestServer.StartAsync(new IPEndPoint(IPAddress.Loopback, 0), (_, endpoint) => endpoint.Run(handler.OnConnectedAsync));
        await using var peer = await server.ConnectAsync();
        peer.StartUpload();
        await peer.UploadPassesOrEndsAsync(64 * 1024 * 1024);

        Assert.Equal((replyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
    }

    private static async Task AssertEchoThenGoodbyeAsync(TestServer server, string goodbye = "HostStopping")
    {
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[MessageBytes]);
        await peer.ReadExactlyAsync(MessageBytes);

        var stopping = server.StopAsync();

        Assert.Equal(goodbye, System.Text.Encoding.ASCII.GetString(await peer.ReadExactlyAsync(goodbye.Length)));
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await stopping;
    }

    private sealed class FarewellHandler : GracefulConnectionHandler
    {
        protected override Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested) => HandlerSteps.EchoAsync(connection);

        protected override async ValueTask SayGoodbyeAsync(ConnectionContext connection, CloseReason reason, CancellationToken cancellationToken) =>
            await connection.Transport.Output.WriteAsync(System.Text.Encoding.ASCII.GetBytes(reason.ToString()), cancellationToken);
    }

    private sealed class ReplyHandler(int bytes) : GracefulConnectionHandler
    {
        protected override Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested) => connection.SendAsync(bytes);
    }
}
