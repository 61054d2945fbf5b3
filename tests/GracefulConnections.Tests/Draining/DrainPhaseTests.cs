using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Draining;

/// <summary>The drain of the whole server, phase by phase.</summary>
public class DrainPhaseTests
{
    [Fact]
    public void Coordinator_New_Serves()
    {
        var sut = new TestDrain();

        Assert.Equal(DrainPhase.Serving, sut.Phase);
        Assert.False(sut.Coordinator.DrainAnnounced.IsCancellationRequested);
        Assert.Equal(0, sut.Coordinator.ConnectionCount);
        Assert.Empty(sut.Coordinator.GetConnections());
    }

    [Fact]
    public void Add_Serving_IsCountedAndNotAsked()
    {
        var sut = new TestDrain();

        var connection = sut.Accept();
        Assert.Equal((1, "a"), (sut.Coordinator.ConnectionCount, Assert.Single(sut.Coordinator.GetConnections()).ConnectionId));
        connection.End();

        Assert.Equal(0, sut.Coordinator.ConnectionCount);
        Assert.False(connection.IsAsked);
        Assert.Empty(sut.Logger.Entries);
    }

    [Fact]
    public async Task HostStop_AnnounceDelay_GoesOnServingUntilItIsOver()
    {
        var sut = new TestDrain(options => options.AnnounceDelay = TimeSpan.FromSeconds(5));
        var old = sut.Accept();

        var announcing = sut.AnnounceStopAsync();

        Assert.Equal(DrainPhase.Announced, sut.Phase);
        Assert.True(sut.Coordinator.DrainAnnounced.IsCancellationRequested);
        Assert.False(sut.Coordinator.DrainStarted.IsCancellationRequested);
        var late = sut.Accept("late");
        sut.AdvanceSeconds(4.999);
        Assert.False(announcing.IsCompleted);
        Assert.False(old.IsAsked || late.IsAsked);
        sut.AdvanceSeconds(0.001);
        await announcing.WithinLimit();
        Assert.Equal(DrainPhase.Draining, sut.Phase);
        Assert.True(sut.Coordinator.DrainStarted.IsCancellationRequested);
        Assert.False(old.IsAsked || late.IsAsked); // The server asks.
    }

    [Fact]
    public void HostStop_DelayZero_AnnouncesAtOnce()
    {
        var sut = new TestDrain();

        Assert.True(sut.Coordinator.BeginStop().IsCompletedSuccessfully);

        Assert.Equal(DrainPhase.Announced, sut.Phase);
    }

    [Fact]
    public async Task HostStop_EveryPhase_IsEnteredInOrder()
    {
        var sut = new TestDrain(options => options.AnnounceDelay = TimeSpan.FromSeconds(5));
        var connection = sut.AcceptIgnorant();
        List<DrainPhase> phases = [sut.Phase];

        var announcing = sut.AnnounceStopAsync();
        phases.Add(sut.Phase);
        sut.AdvanceSeconds(5);
        await announcing.WithinLimit();
        sut.Coordinator.OnServerRequest(connection);
        phases.Add(sut.Phase);
        var ended = sut.Coordinator.WaitAsync();
        sut.AdvanceSeconds(19.999);
        phases.Add(sut.Phase);
        Assert.False(connection.IsAborted);
        sut.AdvanceSeconds(0.001);
        phases.Add(sut.Phase);
        Assert.True(connection.IsAborted);
        sut.AdvanceSeconds(0.499);
        phases.Add(sut.Phase);
        Assert.False(ended.IsCompleted);
        sut.AdvanceSeconds(0.001);
        phases.Add(sut.Phase);

        Assert.Equal(
            [DrainPhase.Serving, DrainPhase.Announced, DrainPhase.Draining, DrainPhase.Draining, DrainPhase.Aborting, DrainPhase.Aborting, DrainPhase.Drained], phases);
    }

    [Fact]
    public async Task HostStop_LastConnectionEnds_EndsAtThatMoment()
    {
        var sut = new TestDrain();
        var first = sut.Accept("a");
        var last = sut.Accept("b");

        var ended = sut.StopHost();
        first.End();
        Assert.Equal(DrainPhase.Draining, sut.Phase);
        Assert.False(ended.IsCompleted);
        last.End(); // The clock stands still.

        await ended.WithinLimit();
        Assert.Equal(DrainPhase.Drained, sut.Phase);
    }

    [Fact]
    public async Task HostStop_NoConnections_EndsAtOnce()
    {
        var sut = new TestDrain();

        await sut.StopHost().WithinLimit();

        Assert.Equal(DrainPhase.Drained, sut.Phase);
    }

    [Fact]
    public async Task HostStop_ServerThatNeverAsks_IsDrainedAllTheSame()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        await sut.AnnounceStopAsync().WithinLimit();

        var ended = sut.Coordinator.WaitAsync();

        Assert.Equal(CloseReason.HostStopping, connection.AskReason);
        connection.End();
        await ended.WithinLimit();
    }

    [Fact]
    public async Task HostStop_EndsWithinTheGrace_EndsAtThatMoment()
    {
        var sut = new TestDrain();
        var connection = sut.AcceptIgnorant();
        var ended = sut.StopHost();
        sut.AdvanceSeconds(20);
        Assert.Equal(DrainPhase.Aborting, sut.Phase);
        Assert.False(ended.IsCompleted);

        connection.End();

        await ended.WithinLimit();
        Assert.Equal(DrainPhase.Drained, sut.Phase);
        Assert.Equal(0, connection.AbandonCount);
    }

    [Fact]
    public void Ask_HostStop_TellsReasonAndTheDrainsLinger()
    {
        var sut = new TestDrain(options => options.LingerIdleTimeout = TimeSpan.FromSeconds(3));
        var connection = sut.Accept();

        _ = sut.StopHost();

        Assert.Equal((1, CloseReason.HostStopping, TimeSpan.FromSeconds(3)), (connection.AskCount, connection.AskReason, connection.LingerCap));
    }

    [Fact]
    public async Task DrainAsync_Live_AnnouncesAsksAndReports()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();

        var draining = sut.Coordinator.DrainAsync();
        await connection.Asked.WithinLimit();

        Assert.Equal(DrainPhase.Draining, sut.Phase);
        Assert.True(sut.Coordinator.DrainAnnounced.IsCancellationRequested);
        Assert.Equal(CloseReason.Drain, connection.AskReason);
        Assert.False(draining.IsCompleted);
        connection.End();
        Assert.Equal(1, (await draining.WithinLimit()).ConnectionCount);
        Assert.Equal(DrainPhase.Drained, sut.Phase);
    }

    [Fact]
    public async Task DrainAsync_Twice_IsOneDrainWithOneReport()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();

        var first = sut.Coordinator.DrainAsync();
        var second = sut.Coordinator.DrainAsync();
        await connection.Asked.WithinLimit();
        connection.End();
        var report = await first.WithinLimit();

        Assert.Same(report, await second.WithinLimit());
        Assert.Same(report, await sut.Coordinator.DrainAsync().WithinLimit());
        Assert.Equal(1, connection.AskCount);
        Assert.Single(sut.Logger.Events, "DrainStarted");
    }

    [Fact]
    public async Task DrainAsync_HostStopsMeanwhile_WaitsForTheSameDrain()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        var live = sut.Coordinator.DrainAsync();
        await connection.Asked.WithinLimit();

        var stop = sut.StopHost();
        Assert.False(stop.IsCompleted);
        connection.End();

        await stop.WithinLimit();
        Assert.Equal(1, (await live.WithinLimit()).ConnectionCount);
        Assert.Single(sut.Logger.Events, "DrainAnnounced");
        Assert.Single(sut.Logger.Events, "DrainStarted");
    }

    [Fact]
    public async Task DrainAsync_DuringTheHostsStop_GetsItsReport()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        var stop = sut.StopHost();

        var live = sut.Coordinator.DrainAsync();
        connection.End();

        Assert.Equal(1, (await live.WithinLimit()).ConnectionCount);
        await stop.WithinLimit();
        Assert.Equal(CloseReason.HostStopping, connection.AskReason);
    }

    [Fact]
    public async Task DrainAsync_Cancelled_EndsTheWaitOfThisCallerOnly()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        using var cancellation = new CancellationTokenSource();
        var impatient = sut.Coordinator.DrainAsync(cancellation.Token);
        var patient = sut.Coordinator.DrainAsync();
        await connection.Asked.WithinLimit();

        await cancellation.CancelAsync();

        Assert.Equal(cancellation.Token, (await Assert.ThrowsAnyAsync<OperationCanceledException>(() => impatient.WithinLimit())).CancellationToken);
        Assert.Equal(DrainPhase.Draining, sut.Phase);
        Assert.False(patient.IsCompleted);
        connection.End();
        await patient.WithinLimit();
    }

    [Fact]
    public async Task DrainAsync_CancelledBefore_DrainsAllTheSame()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sut.Coordinator.DrainAsync(new CancellationToken(canceled: true)).WithinLimit());

        await connection.Asked.WithinLimit();
        connection.End();
        await sut.Coordinator.DrainAsync().WithinLimit();
    }

    [Fact]
    public async Task DrainAsync_CallerWithASynchronizationContext_RunsCallbacksWithoutIt()
    {
        var sut = new TestDrain();
        var seen = new TaskCompletionSource<SynchronizationContext?>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var registration = sut.Coordinator.DrainAnnounced.UnsafeRegister(_ => seen.SetResult(SynchronizationContext.Current), null);

        SynchronizationContext.SetSynchronizationContext(new SynchronizationContext());
        var draining = sut.Coordinator.DrainAsync();
        SynchronizationContext.SetSynchronizationContext(null);

        Assert.Null(await seen.Task.WithinLimit());
        await draining.WithinLimit();
    }

    [Fact]
    public async Task Announcement_CallbackThrows_IsLoggedAndTheDrainGoesOn()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        var ran = 0;
        for (var i = 0; i < 2; i++)
        {
            sut.Coordinator.DrainAnnounced.Register(() =>
            {
                ran++;
                throw new InvalidTimeZoneException();
            });
        }

        var ended = await sut.StopHostAsync();

        Assert.Equal(2, ran);
        var entry = Assert.Single(sut.Logger.Entries, entry => entry.Id.Name == "DrainCallbackFaulted");
        Assert.Equal((LogLevel.Warning, "A callback of DrainAnnounced threw. The drain goes on."), (entry.Level, entry.Message));
        Assert.All(Assert.IsType<AggregateException>(entry.Exception).Flatten().InnerExceptions, inner => Assert.IsType<InvalidTimeZoneException>(inner));
        Assert.True(connection.IsAsked);
        connection.End();
        await ended.WithinLimit();
    }

    [Fact]
    public async Task Announcement_Callback_HasRunBeforeTheFirstIsAsked()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        bool? asked = null;
        using var registration = sut.Coordinator.DrainAnnounced.Register(() => asked = connection.IsAsked);

        await sut.StopHostAsync();

        Assert.False(asked);
        Assert.True(connection.IsAsked);
    }

    [Fact]
    public async Task Drain_WhateverItCalls_IsCalledWithoutTheLock()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        HashSet<string> called = [];
        connection.Looked = () => AssertIsFree("looked");
        connection.Snapped = () => AssertIsFree("snapped");
        connection.Asking = () => AssertIsFree("asked");
        connection.Aborting = () => AssertIsFree("aborted");
        using var announced = sut.Coordinator.DrainAnnounced.Register(() => AssertIsFree("announced"));
        using var started = sut.Coordinator.DrainStarted.Register(() => AssertIsFree("started"));

        var ended = await sut.StopHostAsync();
        sut.AdvanceSeconds(20);

        await ended.WithinLimit();
        Assert.Equal(["aborted", "announced", "asked", "looked", "snapped", "started"], called.Order());

        // From another thread, where holding it would keep that one waiting.
        void AssertIsFree(string call)
        {
            called.Add(call);
            var count = 0;
            var other = new Thread(() => count = sut.Coordinator.ConnectionCount + 1);
            other.Start();
            Assert.True(other.Join(TimeSpan.FromSeconds(60)));
            Assert.Equal(2, count);
        }
    }
}
