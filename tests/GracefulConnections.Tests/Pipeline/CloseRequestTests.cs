using System.Buffers;
using System.IO.Pipelines;
using GracefulConnections.Closing;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Pipeline;

public class CloseRequestTests
{
    public static TheoryData<CloseReason> ReasonsToRequest =>
        [CloseReason.HostStopping, CloseReason.Drain, CloseReason.IdleTimeout, CloseReason.MaxConnectionAge, CloseReason.Application];

    [Theory]
    [MemberData(nameof(ReasonsToRequest))]
    public async Task RequestClose_ReasonToRequest_IsTheReasonOfTheClose(CloseReason reason)
    {
        var connection = new TestEndpoint().Serve();

        connection.Feature.RequestClose(reason);

        Assert.True(connection.Feature.CloseRequested.IsCancellationRequested);
        Assert.Equal(CloseState.Open, connection.State);
        await AssertEndsAsync(connection, reason);
    }

    [Fact]
    public async Task RequestClose_NoReason_IsApplication()
    {
        var connection = new TestEndpoint().Serve();

        connection.Feature.RequestClose();

        await AssertEndsAsync(connection, CloseReason.Application);
    }

    [Fact]
    public async Task RequestClose_Twice_TheFirstWins()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        var requests = 0;
        using var registration = connection.Feature.CloseRequested.Register(() => requests++);

        connection.Feature.RequestClose(CloseReason.Drain);
        connection.Feature.RequestClose(CloseReason.HostStopping);

        Assert.Equal(1, requests);
        Assert.Single(endpoint.Logger.Events, "CloseRequested");
        await AssertEndsAsync(connection, CloseReason.Drain);
    }

    [Fact]
    public async Task RequestClose_AfterTheHandlerReturned_DoesNothing()
    {
        var connection = new TestEndpoint().Serve();
        connection.Return();

        connection.Feature.RequestClose(CloseReason.Drain);

        Assert.False(connection.Feature.CloseRequested.IsCancellationRequested);
        connection.Peer.HalfClose();
        Assert.Equal(CloseReason.HandlerCompleted, (await connection.EndAsync()).Reason);
    }

    [Fact]
    public async Task RequestClose_AfterTheEnd_DoesNothing()
    {
        var connection = new TestEndpoint().Serve();
        await AssertEndsAsync(connection, CloseReason.HandlerCompleted);

        connection.Feature.RequestClose();

        Assert.False(connection.Feature.CloseRequested.IsCancellationRequested);
    }

    [Fact]
    public async Task RequestClose_TokenTakenOnlyAfterwards_IsCancelled()
    {
        var connection = new TestEndpoint().Serve();

        connection.Feature.RequestClose();

        Assert.True(connection.Feature.CloseRequested.IsCancellationRequested);
        Assert.Equal(connection.Feature.CloseRequested, connection.Feature.CloseRequested);
        await AssertEndsAsync(connection, CloseReason.Application);
    }

    [Fact]
    public async Task RequestClose_CallbacksThrow_AllRunAndNothingPropagates()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        var ran = 0;
        for (var i = 0; i < 3; i++)
        {
            connection.Feature.CloseRequested.Register(() =>
            {
                ran++;
                throw new InvalidTimeZoneException();
            });
        }

        var read = connection.Input.ReadAsync();
        connection.Feature.RequestClose();

        Assert.Equal(3, ran);
        await AssertRefusedAsync(endpoint, connection, read); // What comes after the callbacks was done all the same.
        var entry = Assert.Single(endpoint.Logger.Entries, entry => entry.Id.Name == "CloseRequestCallbackFaulted");
        Assert.Equal(LogLevel.Warning, entry.Level);
        Assert.Equal(3, Assert.IsType<AggregateException>(entry.Exception).InnerExceptions.Count);
        await AssertEndsAsync(connection, CloseReason.Application);
    }

    [Fact]
    public async Task RequestClose_HandlerThatNeverHeardOfIt_FinishesTheMessageInHandAndIsEnded()
    {
        var peer = new InMemoryConnection();
        var endpoint = new TestEndpoint();
        var running = endpoint.RunAsync(peer, EchoLinesAsync);
        peer.Send("one\ntw");
        Assert.Equal("one\n", peer.Receive());

        peer.Features.Get<IGracefulCloseFeature>()!.RequestClose(CloseReason.Drain);
        Assert.False(running.IsCompleted);
        peer.Send("o\n");

        Assert.Equal("two\n", await endpoint.Time.UntilAsync(peer.ReceiveToEndAsync()));
        peer.HalfClose();
        await running.WithinLimit();
        var end = await peer.Features.Get<IGracefulCloseFeature>()!.Closed;
        Assert.Equal((CloseReason.Drain, CloseOutcome.Graceful, 0L), (end.Reason, end.Outcome, end.DiscardedBytes));
    }

    // The peer may have been frozen with the process, as on a paused machine, and not silent.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task RequestClose_ClockJumpsInTheMiddleOfAMessage_GivesThePeerAMoment(bool isFinished)
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        connection.Peer.Send("he");
        connection.Input.AdvanceTo((await connection.Input.ReadAsync()).Buffer.End);
        var read = connection.Input.ReadAsync();
        connection.Feature.RequestClose(CloseReason.HostStopping);
        endpoint.Time.AdvanceInSteps(TimeSpan.FromSeconds(1));

        endpoint.Time.Advance(TimeSpan.FromMinutes(1));
        endpoint.Time.AdvanceInSteps(CloseDeadlines.Grace - TimeSpan.FromTicks(1));
        Assert.False(((ReadPump)connection.Input).IsRefused);
        if (isFinished)
        {
            connection.Peer.Send("llo");
            Assert.Equal(3, (await read.WithinLimit()).Buffer.Length);
        }
        else
        {
            endpoint.Time.AdvanceInSteps(TimeSpan.FromSeconds(0.5)); // Two looks, each at most as late as a timer is.
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());
        }

        connection.Peer.HalfClose();
        connection.Return();
        await endpoint.Time.UntilAsync(connection.Running);
    }

    [Fact]
    public async Task RequestClose_CancelReadTurnedOff_LeavesTheReadAlone()
    {
        var endpoint = new TestEndpoint(options => options.CancelReadOnCloseRequest = false);
        var connection = endpoint.Serve();
        var read = connection.Input.ReadAsync();

        connection.Feature.RequestClose();
        for (var look = 0; look < 100; look++)
        {
            endpoint.Time.Advance(TimeSpan.FromMilliseconds(250));
        }

        connection.Peer.Send("more");

        // A read that had been cancelled would have been taken by the discard.
        var result = await read.WithinLimit();
        Assert.Equal((4L, false), (result.Buffer.Length, result.IsCompleted));
        connection.Input.AdvanceTo(result.Buffer.End);
        await AssertEndsAsync(connection, CloseReason.Application);
    }

    [Fact]
    public async Task RequestClose_HandlerIsAware_LeavesTheReadAlone()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        var told = connection.Peer.Features.Get<IConnectionLifetimeNotificationFeature>()!.ConnectionClosedRequested;
        var read = connection.Input.ReadAsync();

        connection.Feature.RequestClose(CloseReason.HostStopping);
        for (var look = 0; look < 100; look++)
        {
            endpoint.Time.Advance(TimeSpan.FromMilliseconds(250));
        }

        connection.Peer.Send("more");

        Assert.True(told.IsCancellationRequested);
        var result = await read.WithinLimit();
        Assert.Equal((4L, false), (result.Buffer.Length, result.IsCompleted));
        connection.Input.AdvanceTo(result.Buffer.End);
        await AssertEndsAsync(connection, CloseReason.HostStopping);
    }

    [Fact]
    public async Task RequestClose_HandlerOnlyKnowsOurFeature_IsNotAware()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        _ = connection.Feature.CloseRequested;
        var read = connection.Input.ReadAsync();

        connection.Feature.RequestClose();

        await AssertRefusedAsync(endpoint, connection, read);
        await AssertEndsAsync(connection, CloseReason.Application);
    }

    [Fact]
    public async Task RequestClose_ThroughTheNotificationFeature_IsApplication()
    {
        var connection = new TestEndpoint().Serve();

        connection.Peer.Features.Get<IConnectionLifetimeNotificationFeature>()!.RequestClose();

        Assert.True(connection.Feature.CloseRequested.IsCancellationRequested);
        await AssertEndsAsync(connection, CloseReason.Application);
    }

    [Fact]
    public async Task NotificationFeature_TokenReplacedByAMiddleware_ReturnsItsToken()
    {
        var connection = new TestEndpoint().Serve();
        var feature = connection.Peer.Features.Get<IConnectionLifetimeNotificationFeature>()!;
        using var middlewares = new CancellationTokenSource();

        feature.ConnectionClosedRequested = middlewares.Token;

        Assert.Equal(middlewares.Token, feature.ConnectionClosedRequested);
        await AssertEndsAsync(connection, CloseReason.HandlerCompleted);
    }

    [Fact]
    public async Task ServersRequest_WhileTheHandlerWaits_BeginsTheCloseAsHostStopping()
    {
        using var servers = new FakeLifetimeNotification();
        var peer = InMemory.WithoutKernel();
        peer.Features.Set<IConnectionLifetimeNotificationFeature>(servers);
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve(peer);
        var read = connection.Input.ReadAsync();

        servers.RequestClose();

        await AssertRefusedAsync(endpoint, connection, read);
        Assert.True(connection.Feature.CloseRequested.IsCancellationRequested);
        await AssertEndsAsync(connection, CloseReason.HostStopping);
    }

    [Fact]
    public async Task ServersRequest_BeforeTheConnectionCame_BeginsTheCloseAtOnce()
    {
        using var servers = new FakeLifetimeNotification();
        servers.RequestClose();
        var peer = InMemory.WithoutKernel();
        peer.Features.Set<IConnectionLifetimeNotificationFeature>(servers);

        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve(peer);

        Assert.True(connection.Feature.CloseRequested.IsCancellationRequested);
        await AssertRefusedAsync(endpoint, connection, connection.Input.ReadAsync());
        await AssertEndsAsync(connection, CloseReason.HostStopping);
    }

    [Fact]
    public async Task ServersRequest_CallbackThrows_DoesNotReachTheServer()
    {
        using var servers = new FakeLifetimeNotification();
        var peer = new InMemoryConnection();
        peer.Features.Set<IConnectionLifetimeNotificationFeature>(servers);
        var connection = new TestEndpoint().Serve(peer);
        connection.Feature.CloseRequested.Register(() => throw new InvalidTimeZoneException());

        servers.RequestClose();

        await AssertEndsAsync(connection, CloseReason.HostStopping);
    }

    // A new connection: nothing for the quiet time, and a second look, because no kernel tells here when it received something.
    private static async Task AssertRefusedAsync(TestEndpoint endpoint, ServedConnection connection, ValueTask<ReadResult> read)
    {
        endpoint.Time.AdvanceInSteps(endpoint.Options.QuietTime - TimeSpan.FromTicks(1));
        Assert.False(((ReadPump)connection.Input).IsRefused); // The read itself completes on the thread pool, later.
        endpoint.Time.AdvanceInSteps(TimeSpan.FromSeconds(0.5)); // Two looks, each at most as late as a timer is.

        var exception = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());
        Assert.Equal(connection.Feature.CloseRequested, exception.CancellationToken);
    }

    private static async Task AssertEndsAsync(ServedConnection connection, CloseReason reason)
    {
        connection.Peer.HalfClose();
        connection.Return();
        var end = await connection.EndAsync();
        Assert.Equal((reason, CloseOutcome.Graceful), (end.Reason, end.Outcome));
    }

    private static async Task EchoLinesAsync(ConnectionContext connection)
    {
        var (input, output) = (connection.Transport.Input, connection.Transport.Output);
        while (true)
        {
            var result = await input.ReadAsync();
            var buffer = result.Buffer;
            while (buffer.PositionOf((byte)'\n') is { } end)
            {
                var line = buffer.Slice(0, buffer.GetPosition(1, end));
                await output.WriteAsync(line.ToArray());
                buffer = buffer.Slice(line.End);
            }

            input.AdvanceTo(buffer.Start, buffer.End);
            if (result.IsCompleted)
            {
                return;
            }
        }
    }
}
