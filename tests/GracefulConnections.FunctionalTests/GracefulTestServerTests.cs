using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.FunctionalTests;

/// <summary>The test kit's own server, with the kit's own peer.</summary>
public class GracefulTestServerTests
{
    private const int ReplyBytes = 1_500_000;

    [Fact]
    public async Task Start_PeerUploadsForEver_GetsTheWholeReplyAndItsReportSaysSo()
    {
        await using var server = await GracefulTestServer.StartAsync(static connection => connection.SendAsync(ReplyBytes));
        await using var peer = await server.ConnectAsync();
        peer.StartUpload();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        await peer.StopUploadAsync();
        peer.HalfClose();

        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
        var report = peer.Report;
        Assert.Equal((ReplyBytes, PeerSaw.Eof), (report.ReceivedBytes, report.End));
        Assert.True(report.FirstByteAfter <= report.LastByteAfter && report.LastByteAfter <= report.EndAfter);
    }

    [Fact]
    public async Task StartEndpoint_WithoutTheLibrary_ResetsThePeerThatGoesOnSending()
    {
        await using var server = await GracefulTestServer.StartEndpointAsync(
            static (_, endpoint) => endpoint.Run(static connection => Task.CompletedTask));
        await using var peer = await server.ConnectAsync();
        Assert.Equal(PeerSaw.Eof, await peer.WaitForEndAsync());

        await peer.SendUntilResetAsync();
    }

    [Fact]
    public async Task Stop_WithADrain_AsksTheConnection()
    {
        await using var server = await GracefulTestServer.StartAsync(
            HandlerSteps.EchoAsync, build: static builder => builder.Services.AddGracefulShutdown());
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync("x"u8.ToArray());
        await peer.ReadExactlyAsync(1);

        var stop = server.StopAsync(CancellationToken.None);
        Assert.Equal(PeerSaw.Eof, await peer.WaitForEndAsync());
        peer.HalfClose();
        await stop;

        Assert.Equal(CloseReason.HostStopping, (await server.NextResultAsync()).Reason);
    }

    [Fact]
    public async Task Vanish_PeerInANetworkOfItsOwn_NobodyHearsOfIt()
    {
        using var network = Habits.Support.Networks.Create();
        await using var server = await GracefulTestServer.StartEndpointAsync(
            static (server, endpoint) => endpoint
                .UseGracefulShutdown(static close => close.LingerIdleTimeout = TimeSpan.FromMilliseconds(50))
                .Use(server.ObserveResults)
                .Run(static connection => connection.Transport.Input.ReadAsync().AsTask()),
            network: network);
        await using var peer = network.Connect(server.EndPoint);
        await peer.SendAsync("x"u8.ToArray());
        Assert.Equal(PeerSaw.Eof, await peer.WaitForEndAsync());

        peer.Vanish();

        Assert.Equal(CloseOutcome.LingerTimedOut, (await server.NextResultAsync()).Outcome);
    }

    [Fact]
    public async Task Vanish_PeerInTheMachinesOwnNetwork_IsRefused()
    {
        await using var server = await GracefulTestServer.StartAsync(HandlerSteps.EchoAsync);
        await using var peer = await server.ConnectAsync();

        Assert.Throws<InvalidOperationException>(peer.Vanish);
        peer.HalfClose();
    }
}
