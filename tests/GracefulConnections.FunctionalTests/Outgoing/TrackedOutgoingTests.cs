using System.Net;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.FunctionalTests.Outgoing;

/// <summary><c>OutgoingConnectionOptions.DrainWithServer</c>: the connections that a server made are a part of its drain.</summary>
public sealed class TrackedOutgoingTests : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly TaskCompletionSource _mayReturn = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _wasAsked = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public TrackedOutgoingTests()
    {
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen();
    }

    public void Dispose() => _listener.Dispose();

    // As a server does that keeps one connection to its database for all requests.
    [Fact]
    public async Task Stop_HandlerNeedsTheOutgoingToTheEnd_ItIsAskedLast()
    {
        ConnectionContext? pooled = null;
        await using var server = await StartAsync(async connection =>
        {
            await AskedAsync(connection);
            _wasAsked.SetResult();
            await _mayReturn.Task;
            await pooled!.SendAsync(1000);
        });
        await using var made = await ConnectAsync(server);
        await using var upstream = await AcceptAsync();
        var running = made.RunGracefullyAsync(
            async (connection, closeRequested) =>
            {
                pooled = connection;
                await AskedAsync(connection);
                await connection.SendAsync(1); // A goodbye.
            },
            services: server.Services,
            cancellationToken: CancellationToken.None);
        await Eventually.IsTrueAsync(() => pooled is not null);
        await using var peer = await server.ConnectTrackedAsync();

        var outgoing = Assert.Single(server.Drain.GetConnections(), static connection => connection.IsOutgoing);
        Assert.Equal(
            (made.ConnectionId, _listener.LocalEndPoint, upstream.Socket.RemoteEndPoint),
            (outgoing.ConnectionId, outgoing.RemoteEndPoint, outgoing.LocalEndPoint));
        var stopping = server.StopAndReportAsync();
        await _wasAsked.Task.InTimeAsync();
        Assert.False(server.Drain.GetConnections().Single(static connection => connection.IsOutgoing).IsCloseRequested);
        _mayReturn.SetResult();

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await upstream.ReadExactlyAsync(1000);
        peer.HalfClose();
        Assert.Equal((1, PeerSaw.Eof), await upstream.ReadToEndAsync());
        Assert.False(stopping.IsCompleted); // The server waits for the end of both.
        upstream.HalfClose();
        var result = await running.InTimeAsync();
        Assert.Equal((CloseReason.HostStopping, CloseOutcome.Graceful), (result.Reason, result.Outcome));
        var report = await stopping.InTimeAsync();
        Assert.Equal((2, 2), (report.ConnectionCount, report.Outcomes[CloseOutcome.Graceful]));
    }

    [Fact]
    public async Task Stop_RelayToAnOutgoing_BothEnd()
    {
        IConnectionFactory? factory = null;
        await using var server = await StartAsync(async connection =>
        {
            await using var upstream = await factory!.ConnectAsync(_listener.LocalEndPoint!, CancellationToken.None);
            await connection.RelayAsync(upstream, null, CancellationToken.None);
        });
        factory = server.Services.GetRequiredService<IConnectionFactory>();
        await using var peer = await server.ConnectAsync();
        await using var upstream = await AcceptAsync();
        await Eventually.IsTrueAsync(() => server.Drain.GetConnections().Count == 2);

        var stopping = server.StopAndReportAsync();

        Assert.Equal((0, PeerSaw.Eof), await upstream.ReadToEndAsync());
        upstream.HalfClose();
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        Assert.Equal(2, (await stopping.InTimeAsync()).Outcomes[CloseOutcome.Graceful]);
    }

    [Fact]
    public async Task Stop_DisposalWaitsForThePeer_IsWaitedFor()
    {
        await using var server = await StartAsync(HandlerSteps.EchoAsync);
        var made = await ConnectAsync(server);
        await using var upstream = await AcceptAsync();
        await made.SendAsync(1000);
        var disposing = made.DisposeAsync().AsTask();
        await Eventually.IsTrueAsync(() => server.Drain.ConnectionCount == 1);

        var stopping = server.StopAndReportAsync();

        Assert.Equal((1000, PeerSaw.Eof), await upstream.ReadToEndAsync());
        Assert.False(stopping.IsCompleted);
        upstream.HalfClose();
        Assert.Equal(1, (await stopping.InTimeAsync()).Outcomes[CloseOutcome.Graceful]);
        await disposing.InTimeAsync();
    }

    [Fact]
    public async Task Stop_HandlerOfAnOutgoingNeverReturns_IsLeftBehindAtTheDeadline()
    {
        await using var server = await StartAsync(
            HandlerSteps.EchoAsync, drain: options => options.DrainTimeout = TimeSpan.FromMilliseconds(100));
        await using var made = await ConnectAsync(server);
        await using var upstream = await AcceptAsync();
        var running = made.RunGracefullyAsync((_, _) => _mayReturn.Task, services: server.Services, cancellationToken: CancellationToken.None);
        await Eventually.IsTrueAsync(() => server.Drain.ConnectionCount == 1);

        await server.StopAsync();

        Assert.Equal((0, PeerSaw.Reset), await upstream.ReadToEndAsync());
        Assert.Equal(CloseOutcome.Aborted, (await running.InTimeAsync()).Outcome);
        _mayReturn.SetResult();
    }

    [Fact]
    public async Task Stop_WithoutTheOption_LeavesTheConnectionToItsOwner()
    {
        await using var server = await StartAsync(HandlerSteps.EchoAsync, isTracked: false);
        await using var made = await ConnectAsync(server);
        await using var upstream = await AcceptAsync();
        var running = made.RunHandlerAsync(static connection => connection.ReadToEndAsync());
        Assert.Empty(server.Drain.GetConnections());

        await server.StopAsync();

        Assert.False(running.IsCompleted || made.Graceful().CloseRequested.IsCancellationRequested);
        upstream.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await running.InTimeAsync()).Outcome);
    }

    private static Task<TestServer> StartAsync(
        Func<ConnectionContext, Task> handler, bool isTracked = true, Action<ServerDrainOptions>? drain = null) =>
        TestServer.StartDrainingAsync(
            handler,
            drain,
            build: builder => builder.Services.AddGracefulConnectionFactory(options => options.DrainWithServer = isTracked));

    private static Task AskedAsync(ConnectionContext connection)
    {
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        connection.Graceful().CloseRequested.UnsafeRegister(static asked => ((TaskCompletionSource)asked!).SetResult(), asked);
        return asked.Task;
    }

    private Task<ConnectionContext> ConnectAsync(TestServer server) => server.Services
        .GetRequiredService<IConnectionFactory>()
        .ConnectAsync(_listener.LocalEndPoint!, CancellationToken.None)
        .AsTask()
        .InTimeAsync();

    private async Task<ScriptedPeer> AcceptAsync() =>
        new(await _listener.AcceptAsync(CancellationToken.None).AsTask().InTimeAsync());
}
