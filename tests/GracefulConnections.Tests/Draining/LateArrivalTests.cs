using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Draining;

/// <summary>Connections that come when the drain of the whole server has begun.</summary>
public class LateArrivalTests
{
    [Fact]
    public async Task Add_Draining_IsAskedAtOnceAndHoldsTheDrain()
    {
        var sut = new TestDrain(options => options.SpreadWindow = TimeSpan.FromSeconds(10));
        var old = sut.Accept("old");
        var ended = sut.StopHost();
        Assert.False(old.IsAsked); // Its turn comes.

        var late = sut.Accept("late");

        Assert.Equal((1, CloseReason.HostStopping), (late.AskCount, late.AskReason));
        old.End();
        Assert.False(ended.IsCompleted);
        late.End();
        await ended.WithinLimit();
        Assert.Equal(2, (await sut.Coordinator.DrainAsync().WithinLimit()).ConnectionCount);
    }

    [Fact]
    public void Add_DrainingUntilTheDeadline_IsAbortedWithTheOthers()
    {
        var sut = new TestDrain();
        sut.Accept("old");
        _ = sut.StopHost();
        sut.AdvanceSeconds(19);
        var late = sut.Accept("late");

        sut.AdvanceSeconds(1);

        Assert.True(late.IsAborted);
        Assert.Equal(DrainPhase.Drained, sut.Phase);
    }

    [Fact]
    public async Task Add_Aborting_IsAbortedAtOnce()
    {
        var sut = new TestDrain();
        var old = sut.AcceptIgnorant("old");
        _ = sut.StopHost();
        sut.AdvanceSeconds(20);
        Assert.Equal(DrainPhase.Aborting, sut.Phase);

        var late = sut.Accept("late");

        Assert.True(late.IsAborted);
        old.End();
        var report = await sut.Coordinator.DrainAsync().WithinLimit();
        Assert.Equal(2, report.ConnectionCount);
        Assert.Equal(["old", "late"], report.Aborted.Select(info => info.ConnectionId));
    }

    [Fact]
    public async Task Add_WhileTheDeadlineAborts_IsAbortedAndCountedOnce()
    {
        var sut = new TestDrain();
        var old = sut.Accept("old");
        FakeTrackedConnection? late = null;
        old.Snapped = () => // Between the decision to abort and the abort.
        {
            old.Snapped = null;
            late = sut.Accept("late");
        };
        var ended = sut.StopHost();

        sut.AdvanceSeconds(20);

        await ended.WithinLimit();
        Assert.True(late!.IsAborted);
        var report = await sut.Coordinator.DrainAsync().WithinLimit();
        Assert.Equal((2, 2), (report.ConnectionCount, report.Outcomes[CloseOutcome.Aborted]));
    }

    [Fact]
    public async Task Add_LiveDrainEnded_IsAskedAtOnceAndNotInItsReport()
    {
        var sut = new TestDrain();
        var report = await sut.Coordinator.DrainAsync().WithinLimit();

        var late = sut.Accept("late");
        var later = sut.Accept("later");

        Assert.Equal((1, CloseReason.Drain), (late.AskCount, late.AskReason));
        Assert.Equal((1, CloseReason.Drain), (later.AskCount, later.AskReason));
        Assert.Equal(DrainPhase.Drained, sut.Phase);
        Assert.Equal(2, sut.Coordinator.ConnectionCount);
        late.End();
        later.End();
        Assert.Same(report, await sut.Coordinator.DrainAsync().WithinLimit());
        Assert.Equal(0, report.ConnectionCount);
    }

    [Fact]
    public async Task Add_LiveDrainEnded_IsAbortedAtItsOwnDeadline()
    {
        var sut = new TestDrain();
        await sut.Coordinator.DrainAsync().WithinLimit();
        sut.AdvanceSeconds(100);
        var late = sut.Accept("late");

        sut.AdvanceSeconds(19.999);
        Assert.False(late.IsAborted);
        sut.AdvanceSeconds(0.001);

        Assert.True(late.IsAborted);
        Assert.Equal(0, sut.Coordinator.ConnectionCount);
    }

    [Fact]
    public async Task Add_LateOnesEndedBefore_BeginsAnotherDrain()
    {
        var sut = new TestDrain();
        await sut.Coordinator.DrainAsync().WithinLimit();
        sut.Accept("late").End();
        sut.AdvanceSeconds(100);

        var later = sut.Accept("later");

        Assert.True(later.IsAsked);
        sut.AdvanceSeconds(20);
        Assert.True(later.IsAborted);
    }

    [Fact]
    public async Task Add_LiveDrainEnded_IsToldQuietly()
    {
        var sut = new TestDrain();
        await sut.Coordinator.DrainAsync().WithinLimit();
        var before = sut.Logger.Entries.Count();

        sut.Accept("late").End();

        Assert.All(sut.Logger.Entries.Skip(before), entry => Assert.Equal(LogLevel.Debug, entry.Level));
    }

    [Fact]
    public async Task Add_AfterTheHostsDrain_IsWaitedForBeforeTheHostExits()
    {
        var sut = new TestDrain();
        await sut.StopHost().WithinLimit();

        var late = sut.Accept("late");
        var ended = sut.Coordinator.WaitAsync();

        Assert.Equal(CloseReason.HostStopping, late.AskReason);
        Assert.False(ended.IsCompleted);
        late.End();
        await ended.WithinLimit();
    }

    [Fact]
    public async Task Add_AfterAbortNow_IsAbortedAtOnce()
    {
        var sut = new TestDrain();
        sut.Coordinator.Context.BeginStop();
        sut.Coordinator.AbortNow();
        await sut.Coordinator.WaitAsync().WithinLimit();

        Assert.True(sut.Accept("late").IsAborted);
        var ignorant = sut.AcceptIgnorant("ignorant");
        Assert.True(ignorant.IsAborted);
        Assert.True(sut.Accept("another").IsAborted); // Into the drain that waits for the ignorant one.
    }

    [Fact]
    public async Task HostStop_LiveDrainLeftAHandlerThatIgnoredItsAbort_WaitsForTheGraceOnly()
    {
        var sut = new TestDrain();
        var ignorant = sut.AcceptIgnorant("ignorant");
        var live = sut.DrainLive();
        sut.AdvanceSeconds(20);
        sut.AdvanceSeconds(0.5);
        Assert.Equal(1, (await live.WithinLimit()).UnendedHandlerCount);
        Assert.Equal((0, 1), (ignorant.AbandonCount, sut.Coordinator.ConnectionCount));

        var ended = sut.StopHost();

        Assert.Equal(DrainPhase.Drained, sut.Phase);
        Assert.False(ended.IsCompleted);
        Assert.Equal(0, ignorant.AbandonCount);
        sut.AdvanceSeconds(0.5);
        Assert.Equal(1, ignorant.AbandonCount);
        await ended.WithinLimit();
        Assert.Equal(0, sut.Coordinator.ConnectionCount);
    }

    [Fact]
    public async Task HostStop_LiveDrainHasEndedAndOthersCameLater_DrainsThemToo()
    {
        var sut = new TestDrain();
        await sut.DrainLive().WithinLimit();
        var ignorant = sut.AcceptIgnorant("late");
        sut.AdvanceSeconds(10);

        var ended = sut.StopHost();

        sut.AdvanceSeconds(10); // Its own time is up before the host's.
        Assert.True(ignorant.IsAborted);
        sut.AdvanceSeconds(0.5);
        Assert.Equal(1, ignorant.AbandonCount);
        await ended.WithinLimit();
    }

    [Fact]
    public async Task Add_LongAfterTheDrainEnded_EachHasATimeOfItsOwn()
    {
        var sut = new TestDrain();
        await sut.DrainLive().WithinLimit();
        var first = sut.AcceptIgnorant("first");
        sut.AdvanceSeconds(15);
        var second = sut.AcceptIgnorant("second");

        sut.AdvanceSeconds(5);
        Assert.True(first.IsAborted);
        Assert.False(second.IsAborted);

        sut.AdvanceSeconds(15);
        Assert.True(second.IsAborted);
    }

    [Fact]
    public async Task Add_WhileTheHostStopsAndItsDrainHasEnded_HasTheRestOfTheHostsTime()
    {
        var sut = new TestDrain();
        var ended = sut.StopHost();
        await ended.WithinLimit();
        sut.AdvanceSeconds(15);
        var late = sut.AcceptIgnorant("late");
        Assert.False(late.IsAborted);

        sut.AdvanceSeconds(5);

        Assert.True(late.IsAborted);
    }

    [Fact]
    public async Task HostStop_LiveDrainLeftOneThatEndsMeanwhile_EndsAtThatMoment()
    {
        var sut = new TestDrain();
        var ignorant = sut.AcceptIgnorant("ignorant");
        var live = sut.DrainLive();
        sut.AdvanceSeconds(20);
        sut.AdvanceSeconds(0.5);
        await live.WithinLimit();
        var ended = sut.StopHost();
        Assert.False(ended.IsCompleted);

        ignorant.End();

        await ended.WithinLimit();
    }
}
