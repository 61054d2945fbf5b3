using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace GracefulConnections.FunctionalTests;

/// <summary>What a stopping host does to its connections when nothing but <c>UseGracefulShutdown()</c> is there.</summary>
public class HostStopTests
{
    private const int MessageBytes = 1000;

    [Fact]
    public async Task Stop_IdlePeerOfAnUnmodifiedEcho_SeesEofAtOnce()
    {
        await using var server = await TestServer.StartAsync(HandlerSteps.EchoAsync, build: NeverGiveUp);
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[MessageBytes]);
        await peer.ReadExactlyAsync(MessageBytes);

        var stopping = server.StopAsync();

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await stopping;
        var result = await server.NextResultAsync();
        Assert.Equal((CloseReason.HostStopping, CloseOutcome.Graceful, 0), (result.Reason, result.Outcome, result.UnacknowledgedBytes));
    }

    [Fact]
    public async Task Stop_PeerThatNeverSentAByte_SeesEofAtOnce()
    {
        var connected = new TaskCompletionSource();
        await using var server = await TestServer.StartAsync(
            connection =>
            {
                connected.SetResult();
                return HandlerSteps.EchoAsync(connection);
            },
            build: NeverGiveUp);
        await using var peer = await server.ConnectAsync();
        await connected.Task.InTimeAsync();

        var stopping = server.StopAsync();

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await stopping;
        Assert.Equal(CloseReason.HostStopping, (await server.NextResultAsync()).Reason);
    }

    [Fact]
    public async Task Stop_PeerIgnoresOurFin_IsBoundedByLingerIdleTimeout()
    {
        await using var server = await TestServer.StartAsync(HandlerSteps.EchoAsync, options => options.LingerIdleTimeout = TimeSpan.FromMilliseconds(200), NeverGiveUp);
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[MessageBytes]);
        await peer.ReadExactlyAsync(MessageBytes);

        await server.StopAsync();

        var result = await server.NextResultAsync();
        Assert.Equal((CloseReason.HostStopping, CloseOutcome.LingerTimedOut), (result.Reason, result.Outcome));
    }

    [Fact]
    public async Task Stop_HalfAMessageInHand_IsServedWhole()
    {
        var halfRead = new TaskCompletionSource();
        await using var server = await TestServer.StartAsync(
            connection => connection.ServeMessagesAsync(MessageBytes, () => halfRead.TrySetResult()),
            build: NeverGiveUp);
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[MessageBytes / 2]);
        await halfRead.Task.InTimeAsync();

        var stopping = server.StopAsync();
        await peer.SendAsync(new byte[MessageBytes / 2]);

        Assert.Equal((MessageBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await stopping;
        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
    }

    [Fact]
    public async Task Stop_BytesThatHadArrived_AreServedFirst()
    {
        var busy = new TaskCompletionSource();
        var goOn = new TaskCompletionSource();
        await using var server = await TestServer.StartAsync(
            async connection =>
            {
                await connection.ReadExactlyAsync(1);
                busy.SetResult();
                await goOn.Task.InTimeAsync();
                await HandlerSteps.EchoAsync(connection);
            },
            build: NeverGiveUp);
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[1]);
        await busy.Task.InTimeAsync();
        await peer.SendAsync(new byte[MessageBytes]);

        var stopping = server.StopAsync();
        await CloseRequestedAsync(server);
        goOn.SetResult();

        Assert.Equal((MessageBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await stopping;
        var result = await server.NextResultAsync();
        Assert.Equal((CloseReason.HostStopping, CloseOutcome.Graceful, 0), (result.Reason, result.Outcome, result.DiscardedBytes));
    }

    [Fact]
    public async Task Stop_HandlerThatReadsConnectionClosedRequested_IsToldAndNotEnded()
    {
        var waiting = new TaskCompletionSource();
        var told = new TaskCompletionSource();
        await using var server = await TestServer.StartAsync(
            async connection =>
            {
                using var registration = connection.Features.Get<IConnectionLifetimeNotificationFeature>()!.ConnectionClosedRequested.UnsafeRegister(_ => told.SetResult(), null);
                waiting.SetResult();
                await HandlerSteps.EchoAsync(connection);
            },
            build: NeverGiveUp);
        await using var peer = await server.ConnectAsync();
        await waiting.Task.InTimeAsync();

        var stopping = server.StopAsync();
        await told.Task.InTimeAsync();

        // Idle, asked to close, and served as before.
        await peer.SendAsync(new byte[MessageBytes]);
        await peer.ReadExactlyAsync(MessageBytes);
        Assert.False(stopping.IsCompleted);
        peer.HalfClose();
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await stopping;
        var result = await server.NextResultAsync();
        Assert.Equal((CloseReason.HostStopping, CloseOutcome.Graceful), (result.Reason, result.Outcome));
    }

    [Fact]
    public async Task Stop_CancelReadOnCloseRequestIsOff_LeavesTheHandlerAlone()
    {
        var closeRequested = new TaskCompletionSource();
        await using var server = await TestServer.StartAsync(
            connection =>
            {
                connection.Graceful().CloseRequested.UnsafeRegister(_ => closeRequested.SetResult(), null);
                return HandlerSteps.EchoAsync(connection);
            },
            options => options.CancelReadOnCloseRequest = false,
            NeverGiveUp);
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[MessageBytes]);
        await peer.ReadExactlyAsync(MessageBytes);

        var stopping = server.StopAsync();
        await closeRequested.Task.InTimeAsync();

        await peer.SendAsync(new byte[MessageBytes]);
        await peer.ReadExactlyAsync(MessageBytes);
        Assert.False(stopping.IsCompleted);
        peer.HalfClose();
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await stopping;
    }

    // The host would abort what is left after 30 seconds, and hide a connection that does not end by itself. Beyond the limit of every wait it cannot.
    private static void NeverGiveUp(WebApplicationBuilder builder) => builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = 2 * TestServer.TestLimit);

    // A stopping server has closed its listener before it asks its connections; that it asked them only a connection can tell.
    private static Task CloseRequestedAsync(TestServer server) => Eventually.IsTrueAsync(() => KernelSocket.OnPort(server.Port).All(socket => socket.RemotePort != 0));
}
