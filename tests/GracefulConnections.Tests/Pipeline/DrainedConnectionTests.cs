using System.IO.Pipelines;
using GracefulConnections.Tests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Pipeline;

/// <summary>A connection in the middleware, and the coordinator that knows it.</summary>
public class DrainedConnectionTests
{
    private readonly TestDrain _drain = new();
    private readonly TestEndpoint _endpoint;

    public DrainedConnectionTests() => _endpoint = new TestEndpoint(drain: _drain);

    private InMemoryConnection Peer { get; } = InMemory.WithoutKernel();

    private IGracefulCloseFeature Feature => Peer.Features.Get<IGracefulCloseFeature>()!;

    private TrackedConnectionInfo Info => Assert.Single(_drain.Coordinator.GetConnections());

    [Fact]
    public async Task Connection_HandlersFirstLine_FindsItRegistered()
    {
        var seen = new TaskCompletionSource<IReadOnlyList<TrackedConnectionInfo>>(TaskCreationOptions.RunContinuationsAsynchronously);
        var gate = new TaskCompletionSource();

        var running = _endpoint.RunAsync(Peer, _ =>
        {
            seen.SetResult(_drain.Coordinator.GetConnections());
            return gate.Task;
        });

        Assert.Equal(1, _drain.Coordinator.ConnectionCount); // Before the first await.
        Assert.Equal("in-memory", Assert.Single(await seen.Task.WithinLimit()).ConnectionId);
        Peer.HalfClose();
        gate.SetResult();
        await running.WithinLimit();
    }

    // Where the handler was is nobody's business but a debugger's, and 20,000 of them would bury the rest.
    [Fact]
    public async Task Connection_DrainAborts_ShowsNoStackAndNoBeginningOfACloseThatHasEnded()
    {
        var running = _endpoint.RunAsync(Peer, async connection => await connection.Transport.Input.ReadAsync());

        Assert.True(_drain.Coordinator.Abort("in-memory"));

        await running.WithinLimit();
        await TestLimit.UntilAsync(() => _endpoint.Logger.Entries.Any(entry => entry.Id.Name == "CloseRequested")); // On another thread.
        var entries = _endpoint.Logger.Entries.ToArray();
        Assert.DoesNotContain(entries, entry => entry.Level > LogLevel.Trace && entry.Exception is not null);
        Assert.Single(entries, entry => entry is { Id.Name: "HandlerEndedWithConnection", Level: LogLevel.Trace, Exception: not null });
        Assert.Equal(["CloseRequested", "Closed"], entries.Where(entry => entry.Level > LogLevel.Trace).Select(entry => entry.Id.Name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Connection_Lingering_IsCountedUntilItsEnd()
    {
        var running = _endpoint.RunAsync(Peer, _ => Task.CompletedTask);
        await TestLimit.UntilAsync(() => Info.State == CloseState.Lingering);
        Assert.Equal(ConnectionActivity.Idle, Info.Activity);

        Peer.HalfClose();

        await running.WithinLimit();
        Assert.Equal(0, _drain.Coordinator.ConnectionCount);
    }

    [Fact]
    public async Task Connection_HandlerThrows_IsCountedUntilItsEnd()
    {
        var running = _endpoint.RunAsync(Peer, _ => throw new InvalidTimeZoneException());
        Assert.Equal(1, _drain.Coordinator.ConnectionCount);
        Peer.HalfClose();

        await Assert.ThrowsAsync<InvalidTimeZoneException>(() => running.WithinLimit());

        Assert.Equal(0, _drain.Coordinator.ConnectionCount);
        Assert.Equal(CloseReason.HandlerFaulted, (await Feature.Closed.WithinLimit()).Reason);
    }

    [Fact]
    public async Task DrainAsync_AwaitedInsideTheHandler_DoesNotWaitForItself()
    {
        DrainReport? report = null;
        var running = _endpoint.RunAsync(Peer, async _ =>
        {
            await Task.Yield(); // On whatever thread the handler goes on.
            report = await _drain.Coordinator.DrainAsync();
        });
        Peer.HalfClose();

        await running.WithinLimit();

        Assert.Equal(0, report!.ConnectionCount);
        Assert.Single(_drain.Logger.Events, "DrainAwaitedInside");
        await _drain.StopHost().WithinLimit();
    }

    [Fact]
    public async Task GetConnections_TagAndReason_AreThoseOfTheConnection()
    {
        var connection = _endpoint.Serve(Peer);
        Feature.Tag = "tenant 7";
        Assert.Equal(("tenant 7", CloseReason.None, false), (Info.Tag, Info.Reason, Info.IsTls));

        _drain.Coordinator.Registry.GetAll()[0].Ask(CloseReason.Drain, TimeSpan.FromSeconds(1));

        await TestLimit.UntilAsync(() => Info.Reason == CloseReason.Drain);
        await EndAsync(connection);
    }

    [Fact]
    public async Task GetConnections_HandlerListensToAToken_IsUnknownOnceBytesCame()
    {
        var connection = _endpoint.Serve(Peer);
        _ = Peer.Features.Get<IConnectionLifetimeNotificationFeature>()!.ConnectionClosedRequested;
        Assert.Equal(ConnectionActivity.Idle, Info.Activity);

        Peer.Send("abc");
        var read = await connection.Input.ReadAsync();
        connection.Input.AdvanceTo(read.Buffer.End);

        Assert.Equal((ConnectionActivity.Unknown, TimeSpan.Zero), (Info.Activity, Info.BusyTime));
        await EndAsync(connection);
    }

    [Fact]
    public async Task GetConnections_NoByteYet_IsIdle()
    {
        var connection = _endpoint.Serve(Peer);
        _drain.AdvanceSeconds(3);

        var info = Info;

        Assert.Equal((CloseState.Open, ConnectionActivity.Idle, false), (info.State, info.Activity, info.IsCloseRequested));
        Assert.Equal((TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(3), TimeSpan.Zero), (info.Age, info.IdleTime, info.BusyTime));
        Assert.Equal((0, 0, 0), (info.ReceivedBytes, info.WrittenBytes, info.UnacknowledgedBytes));
        await EndAsync(connection);
    }

    [Fact]
    public async Task GetConnections_BytesInHand_IsBusySinceTheyCame()
    {
        var connection = _endpoint.Serve(Peer);
        var read = connection.Input.ReadAsync();
        _drain.AdvanceSeconds(1);
        Peer.Send("abc");
        _drain.AdvanceSeconds(2);

        var info = Info;

        Assert.Equal(ConnectionActivity.Busy, info.Activity);
        Assert.Equal((TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(3)), (info.BusyTime, info.IdleTime, info.Age));
        Assert.Equal(3, info.ReceivedBytes);
        connection.Input.AdvanceTo((await read).Buffer.End);
        Assert.Equal(ConnectionActivity.Busy, Info.Activity); // It works on what it has consumed.
        await EndAsync(connection);
    }

    [Fact]
    public async Task GetConnections_WaitsWithEverythingConsumed_IsIdleSinceTheLastByte()
    {
        var connection = _endpoint.Serve(Peer);
        Peer.Send("abc");
        connection.Input.AdvanceTo((await connection.Input.ReadAsync()).Buffer.End);
        _drain.AdvanceSeconds(1);
        await connection.Output.WriteAsync("reply"u8.ToArray());
        var read = connection.Input.ReadAsync();
        _drain.AdvanceSeconds(4);

        var info = Info;

        Assert.Equal(ConnectionActivity.Idle, info.Activity);
        Assert.Equal((TimeSpan.Zero, TimeSpan.FromSeconds(4), TimeSpan.FromSeconds(5)), (info.BusyTime, info.IdleTime, info.Age));
        Assert.Equal((3, 5, null), (info.ReceivedBytes, info.WrittenBytes, info.UnacknowledgedBytes)); // No kernel to ask.
        Peer.HalfClose();
        Assert.True((await read).IsCompleted);
        connection.Return();
        await connection.EndAsync();
    }

    [Fact]
    public async Task GetConnections_WaitsForTheRestOfAMessage_IsBusy()
    {
        var running = _endpoint.RunAsync(Peer, LineEcho.ServeAsync);
        Peer.Send("hal");
        await TestLimit.UntilAsync(() => Info.ReceivedBytes == 3);
        _drain.AdvanceSeconds(2);

        Assert.Equal(ConnectionActivity.Busy, Info.Activity);
        Assert.Equal(TimeSpan.FromSeconds(2), Info.BusyTime);
        Peer.Send("f\n");
        await TestLimit.UntilAsync(() => Info.Activity == ConnectionActivity.Idle); // The handler may be on a thread of its own.
        Peer.HalfClose();
        await running.WithinLimit();
    }

    [Fact]
    public async Task GetConnections_WritesAndNeverReads_IsBusySinceItCame()
    {
        var connection = _endpoint.Serve(Peer);
        _drain.AdvanceSeconds(1);
        await connection.Output.WriteAsync("tick"u8.ToArray());
        _drain.AdvanceSeconds(1);

        Assert.Equal(ConnectionActivity.Busy, Info.Activity);
        Assert.Equal((TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(1)), (Info.BusyTime, Info.IdleTime));
        await EndAsync(connection);
    }

    [Fact]
    public async Task Drain_UnmodifiedIdleHandler_EndsAtTheMessageBoundary()
    {
        var running = _endpoint.RunAsync(Peer, LineEcho.ServeAsync);
        Peer.Send("hello\n");
        await TestLimit.UntilAsync(() => Info is { ReceivedBytes: > 0, Activity: ConnectionActivity.Idle });

        var draining = _drain.Coordinator.DrainAsync(_ => true);

        Assert.Equal("hello\n", await _drain.Time.UntilAsync(Peer.ReceiveToEndAsync()));
        Assert.False(draining.IsCompleted); // It lingers.
        Peer.HalfClose();
        await running.WithinLimit();
        var report = await draining.WithinLimit();
        Assert.Equal((1, 1), (report.ConnectionCount, report.DeliveredCount));
        Assert.Equal(CloseReason.Drain, (await Feature.Closed.WithinLimit()).Reason);
    }

    [Fact]
    public async Task Drain_ConnectionWithoutAByte_Ends()
    {
        var running = _endpoint.RunAsync(Peer, LineEcho.ServeAsync);
        var stopped = _drain.StopHost();

        Assert.Empty(await _drain.Time.UntilAsync(Peer.ReceiveToEndAsync()));
        Peer.HalfClose();

        await running.WithinLimit();
        await stopped.WithinLimit();
        Assert.Equal(CloseReason.HostStopping, (await Feature.Closed.WithinLimit()).Reason);
    }

    [Fact]
    public async Task Drain_HalfAMessage_GetsTheRest()
    {
        var running = _endpoint.RunAsync(Peer, LineEcho.ServeAsync);
        Peer.Send("hal");
        await TestLimit.UntilAsync(() => Info.ReceivedBytes == 3);
        var draining = _drain.Coordinator.DrainAsync(_ => true);
        await TestLimit.UntilAsync(() => Info.IsCloseRequested);
        Assert.Equal(CloseState.Open, Info.State);

        Peer.Send("f\n");

        Assert.Equal("half\n", await _drain.Time.UntilAsync(Peer.ReceiveToEndAsync()));
        Peer.HalfClose();
        await running.WithinLimit();
        Assert.Equal(1, (await draining.WithinLimit()).DeliveredCount);
    }

    [Fact]
    public async Task Drain_BytesThatHadArrived_AreServedFirst()
    {
        var gate = new TaskCompletionSource();
        var running = _endpoint.RunAsync(Peer, async connection =>
        {
            await gate.Task;
            await LineEcho.ServeAsync(connection);
        });
        Peer.Send("one\ntwo\n");
        var draining = _drain.Coordinator.DrainAsync(_ => true);
        await TestLimit.UntilAsync(() => Info.IsCloseRequested);

        gate.SetResult();

        Assert.Equal("one\ntwo\n", await _drain.Time.UntilAsync(Peer.ReceiveToEndAsync()));
        Peer.HalfClose();
        await running.WithinLimit();
        await draining.WithinLimit();
    }

    [Fact]
    public async Task Drain_ConnectionThatComesLate_IsAskedToo()
    {
        var draining = _drain.DrainLive();
        await draining.WithinLimit();

        var running = _endpoint.RunAsync(Peer, LineEcho.ServeAsync);

        Assert.Empty(await _drain.Time.UntilAsync(Peer.ReceiveToEndAsync()));
        Peer.HalfClose();
        await running.WithinLimit();
        Assert.Equal(0, _drain.Coordinator.ConnectionCount);
    }

    [Fact]
    public async Task Drain_HandlerThatLooksAtNothing_IsAbortedAtTheDeadline()
    {
        var connection = _endpoint.Serve(Peer);
        var draining = _drain.Coordinator.DrainAsync(_ => true);
        await TestLimit.UntilAsync(() => Info.IsCloseRequested);

        _drain.AdvanceSeconds(20);

        Assert.Equal((CloseReason.Drain, CloseOutcome.Aborted), await OutcomeAsync());
        Assert.NotNull(Peer.AbortReason);
        connection.Return();
        await connection.Running.WithinLimit();
        var report = await draining.WithinLimit();
        Assert.Equal(["in-memory"], report.Aborted.Select(info => info.ConnectionId));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Drain_HandlerIgnoresItsAbortAndTheHostStops_TheServerGoesOnWithoutIt(bool blocksItsThread)
    {
        using var release = new ManualResetEventSlim();
        var never = new TaskCompletionSource();
        var began = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var running = _endpoint.RunAsync(Peer, _ =>
        {
            began.SetResult();
            if (blocksItsThread)
            {
                Assert.True(release.Wait(TimeSpan.FromSeconds(60)));
            }

            return never.Task;
        });
        await began.Task.WithinLimit();
        var stopped = _drain.StopHost();
        _drain.AdvanceSeconds(20);
        await Feature.Closed.WithinLimit();
        Assert.False(running.IsCompleted);

        _drain.AdvanceSeconds(0.5);

        await running.WithinLimit();
        await stopped.WithinLimit();
        Assert.Equal(0, _drain.Coordinator.ConnectionCount);
        Assert.Contains("HandlerAbandoned", _drain.Logger.Events);
        Assert.Equal(1, (await _drain.Coordinator.DrainAsync().WithinLimit()).UnendedHandlerCount);
        release.Set();
        never.SetResult();
    }

    [Fact]
    public async Task Drain_HandlerIgnoresItsAbortAndTheHostGoesOn_IsWaitedFor()
    {
        var connection = _endpoint.Serve(Peer);
        var draining = _drain.Coordinator.DrainAsync(_ => true);
        _drain.AdvanceSeconds(20);
        await connection.Feature.Closed.WithinLimit();
        _drain.AdvanceSeconds(0.5);

        Assert.Equal(1, (await draining.WithinLimit()).UnendedHandlerCount);
        Assert.Equal(CloseState.Aborted, Info.State);
        Assert.False(connection.Running.IsCompleted);
        connection.Return();
        await connection.Running.WithinLimit();
        Assert.Equal(0, _drain.Coordinator.ConnectionCount);
    }

    [Fact]
    public async Task ServersRequest_Serving_WaitsForItsTurn()
    {
        using var notification = new FakeLifetimeNotification();
        Peer.Features.Set<IConnectionLifetimeNotificationFeature>(notification);
        var connection = _endpoint.Serve(Peer);
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var registration = connection.Feature.CloseRequested.Register(asked.SetResult);

        notification.RequestClose();
        Assert.False(asked.Task.IsCompleted);
        _drain.AdvanceSeconds(0.02);

        await asked.Task.WithinLimit();
        Assert.Contains("DrainStarted", _drain.Logger.Events);
        await EndAsync(connection);
        Assert.Equal(CloseReason.Drain, (await connection.Feature.Closed.WithinLimit()).Reason);
    }

    [Fact]
    public async Task ServersRequest_BeforeTheConnectionCame_IsNotMissed()
    {
        using var notification = new FakeLifetimeNotification();
        Peer.Features.Set<IConnectionLifetimeNotificationFeature>(notification);
        notification.RequestClose();
        var running = _endpoint.RunAsync(Peer, LineEcho.ServeAsync);

        Assert.Empty(await _drain.Time.UntilAsync(Peer.ReceiveToEndAsync()));
        Peer.HalfClose();
        await running.WithinLimit();
    }

    [Fact]
    public async Task Linger_Drain_IsNoLongerThanTheDrains()
    {
        var running = _endpoint.RunAsync(Peer, ServeUntilAskedAsync);
        _ = _drain.StopHost();
        await TestLimit.UntilAsync(() => Info.State == CloseState.Lingering);

        _drain.AdvanceSeconds(0.999);
        Assert.Equal(CloseState.Lingering, Info.State);
        _drain.AdvanceSeconds(0.001);

        await running.WithinLimit();
        Assert.Equal((CloseReason.HostStopping, CloseOutcome.LingerTimedOut), await OutcomeAsync());
    }

    [Fact]
    public async Task Linger_DrainAsksOneThatLingersAlready_IsNoLongerThanTheDrains()
    {
        var running = _endpoint.RunAsync(Peer, _ => Task.CompletedTask);
        await UntilLingersAsync();
        _drain.AdvanceSeconds(2);
        Assert.Equal(CloseState.Lingering, Info.State);

        _ = _drain.StopHost();
        _drain.AdvanceSeconds(0.001); // The sweeper's timer knows milliseconds.

        await running.WithinLimit();
        Assert.Equal((CloseReason.HandlerCompleted, CloseOutcome.LingerTimedOut), await OutcomeAsync());
    }

    [Fact]
    public async Task Linger_EndpointHasLess_IsTheEndpoints()
    {
        var endpoint = new TestEndpoint(options => options.LingerIdleTimeout = TimeSpan.FromSeconds(0.25), _drain);
        var running = endpoint.RunAsync(Peer, ServeUntilAskedAsync);
        _ = _drain.StopHost();
        await TestLimit.UntilAsync(() => Info.State == CloseState.Lingering);

        _drain.AdvanceSeconds(0.25);

        await running.WithinLimit();
        Assert.Equal(CloseOutcome.LingerTimedOut, (await OutcomeAsync()).Outcome);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Linger_EndpointOrDrainHasNoLimit_IsTheOthers(bool endpointHasNone)
    {
        _drain.Options.LingerIdleTimeout = endpointHasNone ? TimeSpan.FromSeconds(3) : Timeout.InfiniteTimeSpan;
        var endpoint = new TestEndpoint(options => options.LingerIdleTimeout = endpointHasNone ? Timeout.InfiniteTimeSpan : TimeSpan.FromSeconds(3), _drain);
        var running = endpoint.RunAsync(Peer, ServeUntilAskedAsync);
        _ = _drain.StopHost();
        await TestLimit.UntilAsync(() => Info.State == CloseState.Lingering);

        _drain.AdvanceSeconds(2.999);
        Assert.Equal(CloseState.Lingering, Info.State);
        _drain.AdvanceSeconds(0.001);

        await running.WithinLimit();
        Assert.Equal(CloseOutcome.LingerTimedOut, (await OutcomeAsync()).Outcome);
    }

    private static async Task ServeUntilAskedAsync(ConnectionContext connection)
    {
        var asked = new TaskCompletionSource();
        var feature = connection.Features.Get<IGracefulCloseFeature>()!;
        await using var registration = feature.CloseRequested.Register(() => asked.TrySetResult());
        await asked.Task;
    }

    private async Task UntilLingersAsync()
    {
        await TestLimit.UntilAsync(() => Info.State == CloseState.Lingering);
        await TestLimit.UntilAsync(() => _endpoint.Scope.Wheel.Count == 1);
    }

    private async Task<(CloseReason Reason, CloseOutcome Outcome)> OutcomeAsync()
    {
        var result = await Feature.Closed.WithinLimit();
        return (result.Reason, result.Outcome);
    }

    private async Task EndAsync(ServedConnection connection)
    {
        Peer.HalfClose();
        connection.Return();
        await connection.EndAsync();
        Assert.Equal(0, _drain.Coordinator.ConnectionCount);
    }
}
