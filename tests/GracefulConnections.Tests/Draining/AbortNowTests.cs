using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Draining;

/// <summary>Somebody asked a second time to stop, or the host's own time is up.</summary>
public class AbortNowTests
{
    [Fact]
    public async Task AbortNow_Draining_AbortsWithoutWaiting()
    {
        var sut = new TestDrain(options => options.SpreadWindow = TimeSpan.FromSeconds(10));
        var a = sut.Accept("a");
        var b = sut.Accept("b");
        var ended = sut.StopHost();
        sut.AdvanceSeconds(1);

        sut.Coordinator.AbortNow();

        Assert.True(a.IsAborted && b.IsAborted);
        await ended.WithinLimit();
        var report = await sut.Coordinator.DrainAsync().WithinLimit();
        Assert.Equal(2, report.Outcomes[CloseOutcome.Aborted]);
        Assert.Equal(TimeSpan.FromSeconds(1), report.Duration);
    }

    [Fact]
    public async Task AbortNow_Announced_EndsTheDelayAndAborts()
    {
        var sut = new TestDrain(options => options.AnnounceDelay = TimeSpan.FromSeconds(60));
        var connection = sut.Accept();
        var announcing = sut.AnnounceStopAsync();

        sut.Coordinator.AbortNow();

        await announcing.WithinLimit();
        Assert.True(connection.IsAborted);
        Assert.Equal(CloseReason.HostStopping, connection.AbortReason);
        Assert.Equal(DrainPhase.Drained, sut.Phase);
        await sut.Coordinator.WaitAsync().WithinLimit();
    }

    [Fact]
    public async Task AbortNow_Serving_BeginsTheDrainAndAborts()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        sut.Coordinator.Context.BeginStop();

        sut.Coordinator.AbortNow(); // The host's time was up before it began.
        await sut.AnnounceStopAsync().WithinLimit();
        sut.Coordinator.BeginDraining(CloseReason.HostStopping);

        Assert.True(connection.IsAborted);
        Assert.False(connection.IsAsked);
        await sut.Coordinator.WaitAsync().WithinLimit();
        Assert.Single((await sut.Coordinator.DrainAsync().WithinLimit()).Aborted);
    }

    [Fact]
    public async Task AbortNow_PartsDrainToo_AbortsEverything()
    {
        var sut = new TestDrain();
        var part = sut.Accept("part");
        var reloaded = sut.Accept("reloaded");
        var other = sut.Accept("other");
        var draining = sut.Coordinator.DrainAsync(info => info.ConnectionId == "part");
        sut.Coordinator.OnServerRequest(reloaded);

        sut.Coordinator.AbortNow();

        Assert.True(part.IsAborted && reloaded.IsAborted && other.IsAborted);
        await draining.WithinLimit();
        await sut.Coordinator.WaitAsync().WithinLimit();
    }

    [Fact]
    public async Task AbortNow_HandlerIgnoresIt_IsAbandonedAfterTheGrace()
    {
        var sut = new TestDrain();
        var connection = sut.AcceptIgnorant();
        var ended = sut.StopHost();

        sut.Coordinator.AbortNow();
        Assert.Equal(DrainPhase.Aborting, sut.Phase);
        sut.AdvanceSeconds(0.499);
        Assert.Equal(0, connection.AbandonCount);
        sut.AdvanceSeconds(0.001);

        Assert.Equal(1, connection.AbandonCount);
        await ended.WithinLimit();
    }

    [Fact]
    public async Task AbortNow_Twice_DoesNotProlongTheGrace()
    {
        var sut = new TestDrain();
        var connection = sut.AcceptIgnorant();
        var ended = sut.StopHost();
        sut.Coordinator.AbortNow();
        sut.AdvanceSeconds(0.4);

        sut.Coordinator.AbortNow();
        sut.AdvanceSeconds(0.1);

        Assert.Equal((1, 1), (connection.AbortCount, connection.AbandonCount));
        await ended.WithinLimit();
    }

    [Fact]
    public async Task AbortNow_WhileTheDrainBegins_BeginsItOnce()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        var hurried = false;
        connection.Looked = () =>
        {
            if (!hurried)
            {
                hurried = true;
                sut.Coordinator.AbortNow();
            }
        };

        var ended = sut.StopHost();
        sut.AdvanceSeconds(0);

        Assert.True(connection.IsAborted);
        Assert.Single(sut.Logger.Events, "DrainStarted");
        await ended.WithinLimit();
    }

    [Fact]
    public async Task AbortNow_AfterTheEnd_DoesNothing()
    {
        var sut = new TestDrain();
        await sut.StopHost().WithinLimit();
        var before = sut.Logger.Entries.Count();

        sut.Coordinator.AbortNow();

        Assert.Equal(DrainPhase.Drained, sut.Phase);
        Assert.Equal(before, sut.Logger.Entries.Count());
    }

    [Fact]
    public async Task DrainAsync_AfterAbortNow_AbortsAtOnce()
    {
        var sut = new TestDrain();
        sut.Coordinator.AbortNow();
        var late = sut.AcceptIgnorant("late");
        Assert.True(late.IsAborted);

        var draining = sut.Coordinator.DrainAsync(_ => true);
        sut.AdvanceSeconds(0.5);

        Assert.Equal(1, (await draining.WithinLimit()).UnendedHandlerCount);
    }
}
