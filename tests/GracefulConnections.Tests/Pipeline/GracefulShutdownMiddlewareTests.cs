using System.Buffers;
using System.Net;
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
        Assert.True((await connection.Output.FlushAsync().WithinLimit()).IsCompleted); // As on stock.
        Assert.Throws<ObjectDisposedException>(() => connection.Output.GetMemory());
        connection.Output.Complete();
        connection.Input.Complete();
    }

    [Fact]
    public async Task OnConnectionAsync_HandlerLeftAReadPending_CancelsIt()
    {
        var connection = new TestEndpoint().Serve();
        var read = connection.Input.ReadAsync();

        connection.Return();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());
        connection.Peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
    }

    [Fact]
    public async Task OnConnectionAsync_HandlerThrows_DeliversWhatItWroteAndRethrows()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        await connection.Output.WriteAsync("flushed "u8.ToArray());
        connection.Write("and not");

        connection.Throw(new InvalidTimeZoneException("mine"));

        Assert.Equal("flushed and not", await connection.Peer.ReceiveToEndAsync());
        Assert.Equal(CloseState.Lingering, connection.State);
        connection.Peer.HalfClose();
        var exception = await Assert.ThrowsAsync<InvalidTimeZoneException>(connection.EndAsync);
        Assert.Equal("mine", exception.Message);
        var end = await connection.Feature.Closed.WithinLimit();
        Assert.Equal((CloseReason.HandlerFaulted, CloseOutcome.Graceful), (end.Reason, end.Outcome));
        Assert.Null(connection.Peer.AbortReason);
        Assert.Equal(0, endpoint.Scope.Wheel.Count);
    }

    // The same without the library: what the server does when a handler throws is to complete the output.
    [Fact]
    public async Task Stock_HandlerThrows_DeliversWhatItWrote()
    {
        var peer = new InMemoryConnection();
        peer.Transport.Output.Write("flushed and not"u8);

        await peer.Transport.Output.CompleteAsync();

        Assert.Equal("flushed and not", await peer.ReceiveToEndAsync());
    }

    [Fact]
    public async Task OnConnectionAsync_HandlerThrowsAndTheFaultShallAbort_ResetsBehindWhatItWrote()
    {
        var endpoint = new TestEndpoint(options => options.AbortOnHandlerFault = true);
        var connection = endpoint.Serve();
        connection.Write("half a re");

        connection.Throw(new InvalidTimeZoneException("mine"));

        Assert.Equal("half a re", connection.Peer.Receive());
        Assert.Null(connection.Peer.AbortReason); // Not yet: the peer's program gets a second to read it.
        await Assert.ThrowsAsync<InvalidTimeZoneException>(() => endpoint.Time.UntilAsync(connection.Running));
        var end = await connection.Feature.Closed.WithinLimit();
        Assert.Equal((CloseReason.HandlerFaulted, CloseOutcome.Aborted), (end.Reason, end.Outcome));
        Assert.IsType<InvalidTimeZoneException>(connection.Peer.AbortReason?.InnerException);
        await Assert.ThrowsAsync<ConnectionResetException>(connection.Peer.ReceiveToEndAsync);
        Assert.Equal(0, endpoint.Scope.Wheel.Count);
    }

    [Fact]
    public async Task OnConnectionAsync_HandlerThrowsWithAMessageInHand_Resets()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        _ = connection.Feature.BeginMessage();
        connection.Write("half a re");

        connection.Throw(new InvalidTimeZoneException());

        Assert.Equal("half a re", connection.Peer.Receive());
        await Assert.ThrowsAsync<InvalidTimeZoneException>(() => endpoint.Time.UntilAsync(connection.Running));
        Assert.Equal(CloseOutcome.Aborted, (await connection.Feature.Closed.WithinLimit()).Outcome);
        Assert.NotNull(connection.Peer.AbortReason);
    }

    [Fact]
    public async Task OnConnectionAsync_HandlerThrowsSynchronously_Rethrows()
    {
        var peer = new InMemoryConnection();
        peer.HalfClose();

        await Assert.ThrowsAsync<InvalidTimeZoneException>(
            () => new TestEndpoint().RunAsync(peer, _ => throw new InvalidTimeZoneException()).WithinLimit());

        Assert.Null(peer.AbortReason);
    }

    [Theory]
    [InlineData("canceled", true)]
    [InlineData("task canceled", true)]
    [InlineData("io holds canceled", true)] // TLS and others wrap what comes from below.
    [InlineData("several, one canceled", true)]
    [InlineData("timeout", false)]
    public async Task OnConnectionAsync_HandlerThrowsAfterACloseRequest_IsAReturnIfItHoldsACancellation(string what, bool isReturn)
    {
        var connection = new TestEndpoint().Serve();
        connection.Feature.RequestClose(CloseReason.Drain);
        connection.Peer.HalfClose();

        connection.Throw(Create(what));

        var exception = await Record.ExceptionAsync(() => connection.Running.WithinLimit());
        Assert.Equal(isReturn, exception is null);
        var end = await connection.Feature.Closed.WithinLimit();
        Assert.Equal((CloseReason.Drain, CloseOutcome.Graceful), (end.Reason, end.Outcome));
    }

    [Theory]
    [InlineData("end of stream", true, true)]
    [InlineData("several ends of stream", true, true)]
    [InlineData("end of stream and another", true, false)]
    [InlineData("io holds end of stream", true, false)] // An upstream's, as far as anybody knows.
    [InlineData("end of stream", false, false)]
    public async Task OnConnectionAsync_HandlerThrowsEndOfStream_IsAReturnIfItWasHandedTheEnd(string what, bool handed, bool isReturn)
    {
        var connection = new TestEndpoint().Serve();
        connection.Write("what it wrote");
        connection.Peer.HalfClose();
        if (handed)
        {
            Assert.True((await connection.Input.ReadAsync().WithinLimit()).IsCompleted);
        }

        connection.Throw(Create(what));

        var exception = await Record.ExceptionAsync(() => connection.Running.WithinLimit());
        Assert.Equal(isReturn, exception is null);
        Assert.Equal("what it wrote", await connection.Peer.ReceiveToEndAsync());
        var end = await connection.Feature.Closed.WithinLimit();
        Assert.Equal((isReturn ? CloseReason.HandlerCompleted : CloseReason.HandlerFaulted, CloseOutcome.Graceful), (end.Reason, end.Outcome));
    }

    [Fact]
    public async Task DisposeAsync_HandlerGoesOn_ClosesAsAReturn()
    {
        var connection = new TestEndpoint().Serve();
        connection.Write("reply");

        await connection.Context!.DisposeAsync();

        Assert.Equal("reply", await connection.Peer.ReceiveToEndAsync());
        Assert.Equal(CloseState.Lingering, connection.State);
        Assert.Throws<ObjectDisposedException>(() => connection.Output.GetMemory());
        connection.Peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await connection.Feature.Closed.WithinLimit()).Outcome);
        Assert.False(connection.Running.IsCompleted); // The handler has not returned.
        await connection.Context.DisposeAsync();
        connection.Return();
        Assert.Equal(CloseReason.HandlerCompleted, (await connection.EndAsync()).Reason);
        Assert.Null(connection.Peer.AbortReason);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task DisposeAsync_HandlerHasEnded_DoesNothing(bool isFault)
    {
        var connection = new TestEndpoint().Serve();
        if (isFault)
        {
            connection.Throw(new InvalidTimeZoneException());
        }
        else
        {
            connection.Return();
        }

        Assert.Equal(string.Empty, await connection.Peer.ReceiveToEndAsync());

        await connection.Context!.DisposeAsync();
        await connection.Context.DisposeAsync();

        Assert.Equal(CloseState.Lingering, connection.State);
        connection.Peer.HalfClose();
        var end = await connection.Feature.Closed.WithinLimit();
        Assert.Equal((isFault ? CloseReason.HandlerFaulted : CloseReason.HandlerCompleted, CloseOutcome.Graceful), (end.Reason, end.Outcome));
        await connection.Context.DisposeAsync();
    }

    [Fact]
    public async Task DisposeAsync_ByManyThreadsWhileTheHandlerReturns_ClosesOnce()
    {
        const int threads = 4;
        for (var i = 0; i < 100; i++)
        {
            var connection = new TestEndpoint().Serve();
            connection.Peer.HalfClose();
            using var start = new Barrier(threads);
            var disposals = Enumerable.Range(0, threads - 1).Select(_ => Task.Factory.StartNew(
                () =>
                {
                    start.SignalAndWait();
                    return connection.Context!.DisposeAsync().AsTask();
                },
                CancellationToken.None,
                TaskCreationOptions.LongRunning,
                TaskScheduler.Default).Unwrap()).ToList();
            start.SignalAndWait();
            connection.Return();

            await Task.WhenAll(disposals).WithinLimit();
            Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
        }
    }

    [Fact]
    public async Task DisposeAsync_HandlerThrowsAfterwards_IsRethrownAndTheCloseStays()
    {
        var connection = new TestEndpoint().Serve();
        connection.Peer.HalfClose();
        await connection.Context!.DisposeAsync();

        connection.Throw(new InvalidTimeZoneException());

        await Assert.ThrowsAsync<InvalidTimeZoneException>(connection.EndAsync);
        var end = await connection.Feature.Closed.WithinLimit();
        Assert.Equal((CloseReason.HandlerCompleted, CloseOutcome.Graceful), (end.Reason, end.Outcome));
    }

    [Theory]
    [InlineData(true, CloseOutcome.Graceful)]
    [InlineData(false, CloseOutcome.Aborted)]
    public async Task AbortNull_ServerEndsTheConnectionItself_IsGracefulBehindThePeersFin(bool peerEnded, CloseOutcome expected)
    {
        var connection = new TestEndpoint().Serve();
        if (peerEnded)
        {
            connection.Peer.HalfClose();
        }

        connection.Context!.Abort(null!);

        Assert.Equal(expected, (await connection.Feature.Closed.WithinLimit()).Outcome);
        Assert.Null(connection.Peer.AbortReason); // The server's abort had no reason, and there was none of ours.
        connection.Return();
        await connection.EndAsync();
    }

    [Fact]
    public void Context_WhatTheHandlerGets_DelegatesAllToTheServers()
    {
        var connection = new TestEndpoint().Serve();
        var (context, peer) = (connection.Context!, connection.Peer);
        Assert.NotSame(peer, context);

        context.ConnectionId = "renamed";
        context.Items = new Dictionary<object, object?>();
        context.ConnectionClosed = new CancellationToken(canceled: true);
        context.LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 1);
        context.RemoteEndPoint = new IPEndPoint(IPAddress.Loopback, 2);
        var transport = context.Transport;
        context.Transport = peer;

        Assert.Equal(("renamed", "renamed"), (peer.ConnectionId, context.ConnectionId));
        Assert.Same(peer.Items, context.Items);
        Assert.Same(peer.Features, context.Features);
        Assert.True(peer.ConnectionClosed.IsCancellationRequested && context.ConnectionClosed.IsCancellationRequested);
        Assert.Equal((peer.LocalEndPoint, peer.RemoteEndPoint), (context.LocalEndPoint, context.RemoteEndPoint));
        Assert.Equal(1, Assert.IsType<IPEndPoint>(peer.LocalEndPoint).Port);
        Assert.Same(peer, peer.Transport);
        context.Transport = transport;
        context.Abort(new ConnectionAbortedException("mine"));
        Assert.Equal("mine", peer.AbortReason?.Message);
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
        connection.Peer.HalfClose();

        connection.Throw(new OperationCanceledException());

        await Assert.ThrowsAsync<OperationCanceledException>(connection.EndAsync);
        Assert.Equal(CloseReason.HandlerFaulted, (await connection.Feature.Closed.WithinLimit()).Reason);
    }

    [Fact]
    public async Task OnConnectionAsync_HandlerThrowsAfterACloseRequest_IsAFaultWithTheReasonOfTheRequest()
    {
        var connection = new TestEndpoint().Serve();
        connection.Feature.RequestClose(CloseReason.Drain);
        connection.Peer.HalfClose();

        connection.Throw(new InvalidTimeZoneException());

        await Assert.ThrowsAsync<InvalidTimeZoneException>(connection.EndAsync);
        var end = await connection.Feature.Closed.WithinLimit();
        Assert.Equal((CloseReason.Drain, CloseOutcome.Graceful), (end.Reason, end.Outcome));
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
        connection.Peer.HalfClose();

        connection.Throw(new ConnectionResetException("An upstream's."));

        await Assert.ThrowsAsync<ConnectionResetException>(connection.EndAsync);
        var end = await connection.Feature.Closed.WithinLimit();
        Assert.Equal((CloseReason.HandlerFaulted, CloseOutcome.Graceful), (end.Reason, end.Outcome));
    }

    [Fact]
    public async Task OnConnectionAsync_OutputCompletedWithAnException_ResetsBehindWhatWasFlushed()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        await connection.Output.WriteAsync("half a re"u8.ToArray());

        connection.Output.Complete(new InvalidTimeZoneException());

        Assert.Equal(CloseState.HalfClosed, connection.State);
        Assert.Equal("half a re", connection.Peer.Receive());
        await endpoint.Time.UntilAsync(() => connection.State == CloseState.Aborted);
        Assert.IsType<InvalidTimeZoneException>(connection.Peer.AbortReason?.InnerException);
        connection.Return();
        Assert.Equal(
            new CloseResult { Reason = CloseReason.HandlerFaulted, Outcome = CloseOutcome.Aborted },
            await connection.EndAsync());
        await Assert.ThrowsAsync<ConnectionResetException>(connection.Peer.ReceiveToEndAsync);
    }

    // Some frameworks complete every output with an exception: where nothing can be missing, that is an end like any other.
    [Fact]
    public async Task OnConnectionAsync_OutputCompletedWithAnExceptionBehindThePeersFin_EndsByFin()
    {
        var connection = new TestEndpoint().Serve();
        connection.Peer.HalfClose();
        Assert.True((await connection.Input.ReadAsync().WithinLimit()).IsCompleted);

        connection.Output.Complete(new InvalidTimeZoneException());
        connection.Return();

        Assert.Equal("", await connection.Peer.ReceiveToEndAsync());
        var end = await connection.EndAsync();
        Assert.Equal((CloseReason.HandlerCompleted, CloseOutcome.Graceful), (end.Reason, end.Outcome));
    }

    [Fact]
    public async Task OnConnectionAsync_OutputCompletedWithAnExceptionAfterARefusedRead_EndsByFin()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        var read = connection.Input.ReadAsync().AsTask();
        connection.Feature.RequestClose(CloseReason.Drain);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => endpoint.Time.UntilAsync(read));

        connection.Output.Complete(new OperationCanceledException());
        connection.Return();

        Assert.Equal("", await connection.Peer.ReceiveToEndAsync());
        connection.Peer.HalfClose();
        var end = await connection.EndAsync();
        Assert.Equal((CloseReason.Drain, CloseOutcome.Graceful), (end.Reason, end.Outcome));
    }

    [Fact]
    public async Task OnConnectionAsync_ReadRefusedBeforeItsInputWasAnswered_ResetsBehindWhatWasWritten()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        connection.Peer.Send("head of an upload");
        var result = await connection.Input.ReadAsync().WithinLimit();
        connection.Input.AdvanceTo(result.Buffer.End);
        var read = connection.Input.ReadAsync().AsTask();
        connection.Feature.RequestClose(CloseReason.Drain);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => endpoint.Time.UntilAsync(read));

        connection.Write("sorry");
        connection.Return();

        Assert.Equal("sorry", connection.Peer.Receive());
        await endpoint.Time.UntilAsync(connection.Running);
        var end = await connection.Feature.Closed.WithinLimit();
        Assert.Equal((CloseReason.Drain, CloseOutcome.Aborted), (end.Reason, end.Outcome));
        Assert.NotNull(connection.Peer.AbortReason);
    }

    [Fact]
    public async Task OnConnectionAsync_OutputCompletedWithAnExceptionAfterACloseRequest_KeepsTheReasonOfTheRequest()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        connection.Feature.RequestClose(CloseReason.Drain);

        connection.Output.Complete(new InvalidTimeZoneException());
        connection.Return();

        var end = await endpoint.Time.UntilAsync(connection.Feature.Closed);
        Assert.Equal((CloseReason.Drain, CloseOutcome.Aborted), (end.Reason, end.Outcome));
        await connection.Running.WithinLimit();
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
        Assert.Equal(new CloseResult { Reason = CloseReason.PeerReset, Outcome = CloseOutcome.PeerReset }, await connection.Feature.Closed.WithinLimit());
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
            var endpoint = new TestEndpoint();
            var connection = endpoint.Serve();
            end(connection);
            connection.Throw(new OperationCanceledException(new CancellationToken(canceled: true)));

            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => endpoint.Time.UntilAsync(connection.Running));
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

    private static Exception Create(string what) => what switch
    {
        "canceled" => new OperationCanceledException(),
        "task canceled" => new TaskCanceledException(),
        "io holds canceled" => new IOException("", new OperationCanceledException()),
        "several, one canceled" => new AggregateException(new InvalidTimeZoneException(), new OperationCanceledException()),
        "timeout" => new TimeoutException(),
        "end of stream" => new EndOfStreamException(),
        "several ends of stream" => new AggregateException(new EndOfStreamException(), new EndOfStreamException()),
        "end of stream and another" => new AggregateException(new EndOfStreamException(), new InvalidTimeZoneException()),
        "io holds end of stream" => new IOException("", new EndOfStreamException()),
        _ => throw new ArgumentOutOfRangeException(nameof(what), what, null),
    };
}
