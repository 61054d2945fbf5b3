using GracefulConnections.Tests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Pipeline;

public class GracefulShutdownMiddlewareTests
{
    [Fact]
    public async Task OnConnectionAsync_WhileTheHandlerRuns_ReplacesTransportAndFeatures()
    {
        using var servers = new FakeLifetimeNotification();
        var peer = new InMemoryConnection();
        peer.Features.Set<IConnectionLifetimeNotificationFeature>(servers);

        var connection = new TestEndpoint().Serve(peer);

        Assert.NotSame(peer, peer.Transport);
        Assert.NotNull(peer.Features.Get<IGracefulCloseFeature>());
        Assert.NotSame(servers, peer.Features.Get<IConnectionLifetimeNotificationFeature>());
        Assert.Equal(CloseState.Open, connection.State);
        peer.HalfClose();
        connection.Return();
        await connection.EndAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task OnConnectionAsync_Ended_RestoresTransportAndNotification(bool faulted)
    {
        using var servers = new FakeLifetimeNotification();
        var peer = new InMemoryConnection();
        peer.Features.Set<IConnectionLifetimeNotificationFeature>(servers);
        var connection = new TestEndpoint().Serve(peer);
        peer.HalfClose();

        if (faulted)
        {
            connection.Throw(new InvalidTimeZoneException());
            await Assert.ThrowsAsync<InvalidTimeZoneException>(connection.EndAsync);
        }
        else
        {
            connection.Return();
            await connection.EndAsync();
        }

        Assert.Same(peer, peer.Transport);
        Assert.Same(servers, peer.Features.Get<IConnectionLifetimeNotificationFeature>());
        servers.RequestClose(); // Nobody listens any more.
        Assert.False(connection.Feature.CloseRequested.IsCancellationRequested);
    }

    [Fact]
    public async Task Heartbeat_HandlerListens_StopsWhenTheHandlerHasReturned()
    {
        var servers = new FakeHeartbeat();
        var peer = new InMemoryConnection();
        peer.Features.Set<IConnectionHeartbeatFeature>(servers);
        var connection = new TestEndpoint().Serve(peer);
        var beats = 0;
        peer.Features.Get<IConnectionHeartbeatFeature>()!.OnHeartbeat(_ => beats++, new object());

        servers.Beat();
        servers.Beat();
        Assert.Equal(2, beats);

        connection.Return();
        servers.Beat(); // While the connection lingers.
        Assert.Equal(2, beats);
        peer.HalfClose();
        await connection.EndAsync();
        Assert.Same(servers, peer.Features.Get<IConnectionHeartbeatFeature>());
    }

    [Fact]
    public async Task OnConnectionAsync_ServerHadNoNotification_LeavesNoneBehind()
    {
        var connection = new TestEndpoint().Serve();
        connection.Peer.HalfClose();
        connection.Return();
        await connection.EndAsync();

        Assert.Null(connection.Peer.Features.Get<IConnectionLifetimeNotificationFeature>());
        Assert.Equal(CloseOutcome.Graceful, (await connection.Peer.Features.Get<IGracefulCloseFeature>()!.Closed).Outcome); // For the middlewares around us.
    }

    [Fact]
    public async Task OnConnectionAsync_HandlerLeftBytesUnflushed_SendsThem()
    {
        var connection = new TestEndpoint().Serve();
        connection.Write("reply");
        connection.Peer.HalfClose();

        connection.Return();

        Assert.Equal("reply", await connection.Peer.ReceiveToEndAsync());
        await connection.EndAsync();
    }

    [Fact]
    public async Task OnConnectionAsync_Ended_ReadsAndWritesOnKeptReferencesFail()
    {
        var connection = new TestEndpoint().Serve();
        connection.Peer.HalfClose();
        connection.Return();
        await connection.EndAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => connection.Input.ReadAsync().WithinLimit());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => connection.Output.WriteAsync("x"u8.ToArray()).WithinLimit());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => connection.Output.FlushAsync().WithinLimit());
        Assert.Throws<ObjectDisposedException>(() => connection.Output.GetMemory());
        connection.Output.Complete();
        connection.Input.Complete();
    }

    [Fact]
    public async Task OnConnectionAsync_HandlerLeftAReadPending_TheReadFailsLoudly()
    {
        var connection = new TestEndpoint().Serve();
        var read = connection.Input.ReadAsync();

        connection.Return();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => read.WithinLimit());
        connection.Peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
    }

    [Fact]
    public async Task OnConnectionAsync_HandlerThrows_AbortsAndRethrows()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        connection.Write("half a re");

        connection.Throw(new InvalidTimeZoneException("mine"));

        var exception = await Assert.ThrowsAsync<InvalidTimeZoneException>(connection.EndAsync);
        Assert.Equal("mine", exception.Message);
        var end = await connection.Feature.Closed.WithinLimit();
        Assert.Equal((CloseReason.HandlerFaulted, CloseOutcome.Aborted), (end.Reason, end.Outcome));
        Assert.NotNull(connection.Peer.AbortReason);
        await Assert.ThrowsAsync<ConnectionAbortedException>(connection.Peer.ReceiveToEndAsync);
        Assert.Equal(0, endpoint.Scope.ClosingSweeper.Count);
    }

    [Fact]
    public async Task OnConnectionAsync_HandlerThrowsAndTheFaultShallNotAbort_DeliversWhatWasFlushedAndRethrows()
    {
        var connection = new TestEndpoint(options => options.AbortOnHandlerFault = false).Serve();
        await connection.Output.WriteAsync("flushed"u8.ToArray());

        connection.Throw(new InvalidTimeZoneException());

        Assert.Equal("flushed", await connection.Peer.ReceiveToEndAsync());
        Assert.Equal(CloseState.Lingering, connection.State);
        connection.Peer.HalfClose();
        await Assert.ThrowsAsync<InvalidTimeZoneException>(connection.EndAsync);
        var end = await connection.Feature.Closed.WithinLimit();
        Assert.Equal((CloseReason.HandlerFaulted, CloseOutcome.Graceful), (end.Reason, end.Outcome));
        Assert.Null(connection.Peer.AbortReason);
    }

    [Fact]
    public async Task OnConnectionAsync_HandlerThrowsSynchronously_AbortsAndRethrows()
    {
        var peer = new InMemoryConnection();

        await Assert.ThrowsAsync<InvalidTimeZoneException>(() => new TestEndpoint().RunAsync(peer, _ => throw new InvalidTimeZoneException()).WithinLimit());

        Assert.NotNull(peer.AbortReason);
    }

    [Fact]
    public async Task OnConnectionAsync_HandlerIsCancelledAfterACloseRequest_ReturnedNormally()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        connection.Write("reply");
        connection.Feature.RequestClose();

        connection.Throw(new OperationCanceledException(connection.Feature.CloseRequested));

        Assert.Equal("reply", await connection.Peer.ReceiveToEndAsync());
        connection.Peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
        Assert.Single(endpoint.Logger.Entries, entry => entry is { Id.Name: "HandlerEndedWithConnection", Level: LogLevel.Debug, Exception: OperationCanceledException });
    }

    [Fact]
    public async Task OnConnectionAsync_HandlerIsCancelledWithoutACloseRequest_IsAFault()
    {
        var connection = new TestEndpoint().Serve();

        connection.Throw(new OperationCanceledException());

        await Assert.ThrowsAsync<OperationCanceledException>(connection.EndAsync);
        Assert.Equal(CloseReason.HandlerFaulted, (await connection.Feature.Closed.WithinLimit()).Reason);
    }

    [Fact]
    public async Task OnConnectionAsync_HandlerThrowsAfterACloseRequest_IsAFaultWithTheReasonOfTheRequest()
    {
        var connection = new TestEndpoint().Serve();
        connection.Feature.RequestClose(CloseReason.Drain);

        connection.Throw(new InvalidTimeZoneException());

        await Assert.ThrowsAsync<InvalidTimeZoneException>(connection.EndAsync);
        var end = await connection.Feature.Closed.WithinLimit();
        Assert.Equal((CloseReason.Drain, CloseOutcome.Aborted), (end.Reason, end.Outcome));
    }

    [Fact]
    public async Task OnConnectionAsync_PeerResetsAndTheReadThrows_IsPeerResetAndNotRethrown()
    {
        var endpoint = new TestEndpoint();
        var peer = new InMemoryConnection();
        var running = endpoint.RunAsync(peer, async connection => await connection.Transport.Input.ReadAsync());

        peer.Reset();

        await running.WithinLimit();
        var end = await peer.Features.Get<IGracefulCloseFeature>()!.Closed.WithinLimit();
        Assert.Equal((CloseReason.PeerReset, CloseOutcome.PeerReset), (end.Reason, end.Outcome));
        Assert.Single(endpoint.Logger.Entries, entry => entry is { Id.Name: "HandlerEndedWithConnection", Level: LogLevel.Debug, Exception: ConnectionResetException });
        Assert.DoesNotContain(endpoint.Logger.Entries, entry => entry.Level > LogLevel.Debug);
    }

    [Fact]
    public async Task OnConnectionAsync_PeerResetsAndTheHandlerSwallowsIt_IsPeerReset()
    {
        var connection = new TestEndpoint().Serve();
        connection.Peer.Reset();
        await Assert.ThrowsAsync<ConnectionResetException>(() => connection.Input.ReadAsync().WithinLimit());

        connection.Return();

        var end = await connection.EndAsync();
        Assert.Equal((CloseReason.PeerReset, CloseOutcome.PeerReset), (end.Reason, end.Outcome));
    }

    [Fact]
    public async Task OnConnectionAsync_ResetOfAnotherConnection_IsAFault()
    {
        var connection = new TestEndpoint().Serve();

        connection.Throw(new ConnectionResetException("An upstream's."));

        await Assert.ThrowsAsync<ConnectionResetException>(connection.EndAsync);
        var end = await connection.Feature.Closed.WithinLimit();
        Assert.Equal((CloseReason.HandlerFaulted, CloseOutcome.Aborted), (end.Reason, end.Outcome));
    }

    [Fact]
    public async Task OnConnectionAsync_OutputCompletedWithAnException_Aborts()
    {
        var connection = new TestEndpoint().Serve();
        await connection.Output.WriteAsync("half a re"u8.ToArray());

        connection.Output.Complete(new InvalidTimeZoneException());

        Assert.Equal(CloseState.Aborted, connection.State);
        Assert.NotNull(connection.Peer.AbortReason);
        connection.Return();
        Assert.Equal(new CloseResult(CloseReason.HandlerFaulted, CloseOutcome.Aborted, TimeSpan.Zero, 0, null), await connection.EndAsync());
        await Assert.ThrowsAsync<ConnectionAbortedException>(connection.Peer.ReceiveToEndAsync);
    }

    [Fact]
    public async Task OnConnectionAsync_OutputCompletedWithAnExceptionAfterACloseRequest_KeepsTheReasonOfTheRequest()
    {
        var connection = new TestEndpoint().Serve();
        connection.Feature.RequestClose(CloseReason.Drain);

        connection.Output.Complete(new InvalidTimeZoneException());
        connection.Return();

        var end = await connection.EndAsync();
        Assert.Equal((CloseReason.Drain, CloseOutcome.Aborted), (end.Reason, end.Outcome));
    }

    [Fact]
    public async Task OnConnectionAsync_InputCompleted_DiscardsAndRemembersThePeersFin()
    {
        var connection = new TestEndpoint().Serve();
        connection.Input.Complete();
        connection.Peer.Send("discarded");
        connection.Peer.HalfClose();
        Assert.Equal(CloseState.Open, connection.State);
        await connection.Output.WriteAsync("reply"u8.ToArray());

        connection.Return();

        Assert.Equal("reply", await connection.Peer.ReceiveToEndAsync());
        var end = await connection.EndAsync();
        Assert.Equal((CloseOutcome.Graceful, 9L), (end.Outcome, end.DiscardedBytes));
    }

    [Fact]
    public async Task OnConnectionAsync_InputCompletedAndPeerResets_EndsWhileTheHandlerStillRuns()
    {
        var connection = new TestEndpoint().Serve();
        connection.Input.Complete();

        connection.Peer.Reset();

        Assert.Equal(CloseState.Aborted, connection.State);
        Assert.Equal(new CloseResult(CloseReason.PeerReset, CloseOutcome.PeerReset, TimeSpan.Zero, 0, null), await connection.Feature.Closed.WithinLimit());
        Assert.False(connection.Running.IsCompleted);
        connection.Return();
        await connection.EndAsync();
    }

    [Fact]
    public async Task Abort_HandlerStillRuns_EndsAtOnce()
    {
        var connection = new TestEndpoint().Serve();
        connection.Input.Complete();

        connection.Peer.Abort();

        var end = await connection.Feature.Closed.WithinLimit();
        Assert.Equal((CloseReason.Application, CloseOutcome.Aborted), (end.Reason, end.Outcome));
        connection.Return();
        await connection.EndAsync();
    }

    [Fact]
    public async Task Closed_EveryEnd_NeitherFaultsNorIsCancelled()
    {
        foreach (var end in new Action<ServedConnection>[]
        {
            connection => connection.Peer.HalfClose(),
            connection => connection.Peer.Reset(),
            connection => connection.Peer.Abort(),
            connection => connection.Output.Complete(new OperationCanceledException()),
        })
        {
            var connection = new TestEndpoint().Serve();
            end(connection);
            connection.Throw(new OperationCanceledException(new CancellationToken(canceled: true)));

            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => connection.Running.WithinLimit());
            await connection.Feature.Closed.WithinLimit();
            Assert.True(connection.Feature.Closed.IsCompletedSuccessfully);
        }
    }

    [Fact]
    public async Task Closed_ContinuationBlocks_DoesNotHoldUpTheClose()
    {
        var connection = new TestEndpoint().Serve();
        using var release = new ManualResetEventSlim();
        var blocked = connection.Feature.Closed.ContinueWith(
            _ => release.Wait(TimeSpan.FromMinutes(1)), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        connection.Peer.HalfClose();

        connection.Return();

        await connection.EndAsync();
        release.Set();
        Assert.True(await blocked.WithinLimit());
    }
}
