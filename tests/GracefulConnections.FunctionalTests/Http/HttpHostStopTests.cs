using GracefulConnections.FunctionalTests.RealClients;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>HTTP/1.1 when the host stops, with and without <c>AddGracefulShutdown()</c>: nothing in flight is lost, and nothing waits for a limit.</summary>
public class HttpHostStopTests
{
    private const string Get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    public static TheoryData<TlsPlacement, bool> Servers { get; } = new MatrixTheoryData<TlsPlacement, bool>(Enum.GetValues<TlsPlacement>(), [false, true]);

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Stop_RequestInFlight_GetsItsWholeAnswerWithConnectionCloseAndThenFin(TlsPlacement placement, bool withDrain)
    {
        var serving = new TaskCompletionSource();
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await HttpServer.StartAsync(
            async context =>
            {
                serving.SetResult();
                await asked.Task.InTimeAsync();
                await Answers.SendReplyAsync(context);
            },
            placement,
            closeRequested: asked.SetResult,
            build: builder => AddDrain(builder, withDrain));
        await using var peer = await HttpPeer.ConnectAsync(server, placement);
        await peer.SendAsync(Get);
        await serving.Task.InTimeAsync();

        var stopping = server.StopAsync();

        var answer = await peer.ReadAnswerAsync();
        Assert.Equal((200, true, Reply.Hash), (answer.Status, answer.ClosesConnection, answer.Hash));
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await stopping;
        await server.AssertGracefulAsync();
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Stop_UploadInFlight_IsReadWholeAndAnsweredBeforeFin(TlsPlacement placement, bool withDrain)
    {
        const int bodyBytes = 900_000;
        var asked = new TaskCompletionSource();
        var half = new TaskCompletionSource();
        await using var server = await HttpServer.StartAsync(
            async context =>
            {
                await context.Request.Body.ReadExactlyAsync(new byte[bodyBytes / 2]);
                half.SetResult();
                await context.Request.Body.CopyToAsync(Stream.Null);
                await Answers.SendReplyAsync(context);
            },
            placement,
            closeRequested: asked.SetResult,
            build: builder => AddDrain(builder, withDrain));
        await using var peer = await HttpPeer.ConnectAsync(server, placement);
        await peer.SendAsync($"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bodyBytes}\r\n\r\n");
        await peer.SendAsync(new byte[bodyBytes / 2]);
        await half.Task.InTimeAsync();

        var stopping = server.StopAsync();
        await asked.Task.InTimeAsync();
        await peer.SendAsync(new byte[bodyBytes / 2]);

        var answer = await peer.ReadAnswerAsync();
        Assert.Equal((200, true, Reply.Hash), (answer.Status, answer.ClosesConnection, answer.Hash));
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await stopping;
        await server.AssertGracefulAsync();
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Stop_IdleKeepAliveConnection_EndsWithFin(TlsPlacement placement, bool withDrain)
    {
        await using var server = await HttpServer.StartAsync(Answers.SendReplyAsync, placement, build: builder => AddDrain(builder, withDrain));
        await using var peer = await HttpPeer.ConnectAsync(server, placement);
        Assert.Equal(200, (await peer.AskAsync(Get)).Status);

        var stopping = server.StopAsync();

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await stopping;
        await server.AssertGracefulAsync();
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Stop_ConnectionWithoutARequestYet_EndsWithFin(TlsPlacement placement, bool withDrain)
    {
        await using var server = await HttpServer.StartAsync(Answers.SendReplyAsync, placement, build: builder => AddDrain(builder, withDrain));
        await using var peer = await HttpPeer.ConnectAsync(server, placement);
        await using var late = await HttpPeer.ConnectAsync(server, placement);
        Assert.Equal(200, (await late.AskAsync(Get)).Status); // Accepted in the order of arrival: the first one is known to the server too.

        var stopping = server.StopAsync();

        foreach (var each in (HttpPeer[])[peer, late])
        {
            Assert.Equal((0, PeerSaw.Eof), await each.ReadToEndAsync());
        }

        await stopping;
        await server.AssertGracefulAsync();
        await server.AssertGracefulAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Stop_OutsideOfTlsAndNoHandshakeYet_EndsWithFin(bool withDrain)
    {
        await using var server = await HttpServer.StartAsync(Answers.SendReplyAsync, TlsPlacement.Outside, build: builder => AddDrain(builder, withDrain));
        await using var peer = await server.ConnectAsync();
        await using var late = await HttpPeer.ConnectAsync(server, TlsPlacement.Outside);
        Assert.Equal(200, (await late.AskAsync(Get)).Status);

        var stopping = server.StopAsync();

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        Assert.Equal((0, PeerSaw.Eof), await late.ReadToEndAsync());
        await stopping;
    }

    private static void AddDrain(WebApplicationBuilder builder, bool withDrain)
    {
        if (withDrain)
        {
            TestServer.AddPatientDrain(builder);
        }
    }
}
