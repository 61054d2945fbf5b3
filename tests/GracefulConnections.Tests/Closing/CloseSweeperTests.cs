using GracefulConnections.Closing;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Closing;

public class CloseSweeperTests
{
    private readonly ObservedTimeProvider _time = new();
    private readonly CloseSweeper _sut;

    public CloseSweeperTests() => _sut = new CloseSweeper(_time);

    [Fact]
    public void Sweeper_NothingWatched_ArmsNoTimer()
    {
        _time.Advance(TimeSpan.FromDays(1));

        Assert.Equal(1, _time.TimerCount);
        Assert.Empty(_time.Armed);
        Assert.Equal(0, _sut.Count);
    }

    [Fact]
    public void Watch_OneDeadline_ArmsTheTimerForItOnce()
    {
        var target = new FakeSweepable(_ => null);

        _sut.Watch(target, TimeSpan.FromSeconds(5));
        _time.Advance(TimeSpan.FromSeconds(5));
        _time.Advance(TimeSpan.FromDays(1));

        Assert.Equal([TimeSpan.FromSeconds(5)], _time.Armed);
        Assert.Equal([TimeSpan.FromSeconds(5)], target.Swept);
        Assert.Equal(0, _sut.Count);
    }

    [Fact]
    public void Watch_OneTickBeforeTheDeadline_DoesNotSweep()
    {
        var target = new FakeSweepable(_ => null);
        _sut.Watch(target, TimeSpan.FromSeconds(5));

        _time.Advance(TimeSpan.FromSeconds(5) - TimeSpan.FromTicks(1));
        Assert.Empty(target.Swept);

        _time.Advance(TimeSpan.FromTicks(1));
        Assert.Single(target.Swept);
    }

    [Fact]
    public void Watch_DeadlineBetweenTwoMilliseconds_ArmsTheTimerForTheLaterOne()
    {
        var target = new FakeSweepable(_ => null);

        _sut.Watch(target, TimeSpan.FromMilliseconds(5) + TimeSpan.FromTicks(1));

        Assert.Equal([TimeSpan.FromMilliseconds(6)], _time.Armed);
    }

    [Fact]
    public void Watch_DeadlineInThePast_SweepsAsSoonAsATimerCan()
    {
        var target = new FakeSweepable(_ => null);
        _time.Advance(TimeSpan.FromSeconds(1));

        _sut.Watch(target, TimeSpan.Zero);

        Assert.Equal([TimeSpan.FromMilliseconds(1)], _time.Armed);
    }

    [Fact]
    public void Watch_EarlierDeadlineThanAllOthers_RearmsTheTimer()
    {
        var late = new FakeSweepable(_ => null);
        var early = new FakeSweepable(_ => null);

        _sut.Watch(late, TimeSpan.FromSeconds(5));
        _sut.Watch(early, TimeSpan.FromSeconds(2));
        _time.Advance(TimeSpan.FromSeconds(2));

        Assert.Single(early.Swept);
        Assert.Empty(late.Swept);

        _time.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal([TimeSpan.FromSeconds(5)], late.Swept);
        Assert.Equal([TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(3)], _time.Armed);
    }

    [Fact]
    public void Watch_LaterDeadlineThanAnother_LeavesTheTimerAlone()
    {
        _sut.Watch(new FakeSweepable(_ => null), TimeSpan.FromSeconds(2));
        _sut.Watch(new FakeSweepable(_ => null), TimeSpan.FromSeconds(5));

        Assert.Equal([TimeSpan.FromSeconds(2)], _time.Armed);
    }

    [Fact]
    public void Watch_WatchedAlready_KeepsTheEarlierDeadline()
    {
        var target = new FakeSweepable(_ => null);

        _sut.Watch(target, TimeSpan.FromSeconds(2));
        _sut.Watch(target, TimeSpan.FromSeconds(5));
        Assert.Equal(1, _sut.Count);

        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.Single(target.Swept);
    }

    [Fact]
    public void Watch_WatchedAlreadyWithEarlierDeadline_SweepsAtTheEarlierOne()
    {
        var target = new FakeSweepable(_ => null);

        _sut.Watch(target, TimeSpan.FromSeconds(5));
        _sut.Watch(target, TimeSpan.FromSeconds(2));
        _time.Advance(TimeSpan.FromSeconds(2));

        Assert.Single(target.Swept);
    }

    [Fact]
    public void Sweep_SeveralDue_GoesInTheOrderWatched()
    {
        var order = new List<string>();
        _sut.Watch(new FakeSweepable(_ => Note("first")), TimeSpan.FromSeconds(3));
        _sut.Watch(new FakeSweepable(_ => Note("second")), TimeSpan.FromSeconds(1));
        _sut.Watch(new FakeSweepable(_ => Note("not due")), TimeSpan.FromSeconds(4));
        _sut.Watch(new FakeSweepable(_ => Note("third")), TimeSpan.FromSeconds(2));

        _time.Advance(TimeSpan.FromSeconds(3));

        Assert.Equal(["first", "second", "third"], order);

        TimeSpan? Note(string name)
        {
            order.Add(name);
            return null;
        }
    }

    [Fact]
    public void Sweep_AnswersWithATime_SweepsAgainThen()
    {
        var target = new FakeSweepable(now => now < TimeSpan.FromSeconds(3) ? now + TimeSpan.FromSeconds(1) : null);
        _sut.Watch(target, TimeSpan.FromSeconds(1));

        for (var second = 0; second < 5; second++)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.Equal([TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(3)], target.Swept);
        Assert.Equal(0, _sut.Count);
    }

    [Fact]
    public void Sweep_UnwatchesItself_IsNotSweptAgain()
    {
        FakeSweepable target = null!;
        target = new FakeSweepable(now =>
        {
            _sut.Unwatch(target);
            return now + TimeSpan.FromSeconds(1);
        });
        _sut.Watch(target, TimeSpan.FromSeconds(1));

        _time.Advance(TimeSpan.FromSeconds(1));
        _time.Advance(TimeSpan.FromDays(1));

        Assert.Single(target.Swept);
        Assert.Equal(0, _sut.Count);
    }

    [Fact]
    public void Sweep_UnwatchesItsNeighbours_LeavesTheOthersWatched()
    {
        var never = new List<FakeSweepable>();
        var kept = new FakeSweepable(now => now + TimeSpan.FromSeconds(1));
        var unwatching = new FakeSweepable(_ =>
        {
            never.ForEach(_sut.Unwatch);
            return null;
        });
        never.AddRange([new FakeSweepable(_ => null), new FakeSweepable(_ => null)]);
        _sut.Watch(never[0], TimeSpan.FromSeconds(9));
        _sut.Watch(unwatching, TimeSpan.FromSeconds(1));
        _sut.Watch(never[1], TimeSpan.FromSeconds(9));
        _sut.Watch(kept, TimeSpan.FromSeconds(1));

        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(1, _sut.Count);
        _time.Advance(TimeSpan.FromSeconds(9));

        Assert.All(never, target => Assert.Empty(target.Swept));
        Assert.Equal(2, kept.Swept.Count);
    }

    [Fact]
    public void Sweep_WatchesAnotherWithEarlierDeadline_SweepsItThen()
    {
        var added = new FakeSweepable(_ => null);
        var target = new FakeSweepable(now =>
        {
            _sut.Watch(added, now + TimeSpan.FromSeconds(1));
            return now + TimeSpan.FromSeconds(5);
        });
        _sut.Watch(target, TimeSpan.FromSeconds(1));

        _time.Advance(TimeSpan.FromSeconds(1));
        _time.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal([TimeSpan.FromSeconds(2)], added.Swept);
        Assert.Single(target.Swept);
    }

    [Fact]
    public void Sweep_WatchedAgainDuringItsSweep_TakesTheEarlierOfBothTimes()
    {
        FakeSweepable target = null!;
        target = new FakeSweepable(now =>
        {
            _sut.Watch(target, now + TimeSpan.FromSeconds(1));
            return now + TimeSpan.FromSeconds(5);
        });
        _sut.Watch(target, TimeSpan.FromSeconds(1));

        _time.Advance(TimeSpan.FromSeconds(1));
        _time.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal(2, target.Swept.Count);
    }

    [Fact]
    public void Unwatch_BeforeTheDeadline_IsNeverSwept()
    {
        var target = new FakeSweepable(_ => null);
        _sut.Watch(target, TimeSpan.FromSeconds(1));

        _sut.Unwatch(target);
        _sut.Unwatch(target);
        _time.Advance(TimeSpan.FromDays(1));

        Assert.Empty(target.Swept);
        Assert.Equal(0, _sut.Count);
        Assert.Single(_time.Armed);
    }

    [Fact]
    public void Watch_InfiniteDeadline_ArmsNoTimer()
    {
        var target = new FakeSweepable(_ => null);

        _sut.Watch(target, TimeSpan.MaxValue);
        _time.Advance(TimeSpan.FromDays(1000));

        Assert.Empty(_time.Armed);
        Assert.Empty(target.Swept);
        Assert.Equal(1, _sut.Count);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Watch_VeryDistantDeadline_SleepsAnHourAtATime(long ticksBeforeTheGreatest)
    {
        var target = new FakeSweepable(_ => null);

        // One that is due first, so that the distant one is what is left after a sweep.
        _sut.Watch(new FakeSweepable(_ => null), TimeSpan.FromSeconds(1));
        _sut.Watch(target, TimeSpan.MaxValue - TimeSpan.FromTicks(ticksBeforeTheGreatest));
        _time.Advance(TimeSpan.FromSeconds(1));
        _time.Advance(TimeSpan.FromHours(1));

        Assert.All(_time.Armed, sleep => Assert.True(sleep <= TimeSpan.FromHours(1)));
        Assert.Empty(target.Swept);
    }

    [Fact]
    public void Watch_DeadlineBeyondTheLongestSleep_IsMet()
    {
        var target = new FakeSweepable(_ => null);
        _sut.Watch(target, TimeSpan.FromHours(2.5));

        _time.Advance(TimeSpan.FromHours(1));
        _time.Advance(TimeSpan.FromHours(1));
        _time.Advance(TimeSpan.FromHours(0.5));

        Assert.Equal([TimeSpan.FromHours(2.5)], target.Swept);
        Assert.Equal([TimeSpan.FromHours(1), TimeSpan.FromHours(1), TimeSpan.FromHours(0.5)], _time.Armed);
    }

    [Fact]
    public void Sweep_TenThousandWatched_SweepsEachAtItsOwnTimeWithOneTimer()
    {
        var targets = Enumerable.Range(0, 10_000).Select(_ => new FakeSweepable(_ => null)).ToArray();
        for (var i = 0; i < targets.Length; i++)
        {
            _sut.Watch(targets[i], DueOf(i));
        }

        Assert.Equal(10_000, _sut.Count);
        for (var second = 1; second <= 10; second++)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            Assert.Equal(10_000 - (second * 1_000), _sut.Count);
        }

        for (var i = 0; i < targets.Length; i++)
        {
            Assert.Equal([DueOf(i)], targets[i].Swept);
        }

        Assert.Equal(1, _time.TimerCount);

        static TimeSpan DueOf(int i) => TimeSpan.FromSeconds(1 + (i % 10));
    }

    [Fact]
    public void Unwatch_TenThousandFromTheMiddle_EmptiesTheList()
    {
        var targets = Enumerable.Range(0, 10_000).Select(_ => new FakeSweepable(_ => null)).ToArray();
        foreach (var target in targets)
        {
            _sut.Watch(target, TimeSpan.FromSeconds(1));
        }

        foreach (var (_, target) in targets.Index().OrderBy(pair => pair.Index % 7))
        {
            _sut.Unwatch(target);
        }

        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(0, _sut.Count);
        Assert.All(targets, target => Assert.Empty(target.Swept));
    }

    [Fact]
    public void ForClosing_SameClock_IsTheSameSweeperAndNotTheOneForOpen()
    {
        Assert.Same(CloseSweeper.ForClosing(_time), CloseSweeper.ForClosing(_time));
        Assert.Same(CloseSweeper.ForOpen(_time), CloseSweeper.ForOpen(_time));
        Assert.NotSame(CloseSweeper.ForClosing(_time), CloseSweeper.ForOpen(_time));
        Assert.NotSame(CloseSweeper.ForClosing(_time), CloseSweeper.ForClosing(new ObservedTimeProvider()));
    }

    [Fact]
    public void Add_TooGreatOrInfinite_IsTheGreatestTime()
    {
        Assert.Equal(TimeSpan.FromSeconds(3), CloseSweeper.Add(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2)));
        Assert.Equal(TimeSpan.MaxValue, CloseSweeper.Add(TimeSpan.FromSeconds(1), Timeout.InfiniteTimeSpan));
        Assert.Equal(TimeSpan.MaxValue, CloseSweeper.Add(TimeSpan.FromSeconds(1), TimeSpan.MaxValue));
        Assert.Equal(TimeSpan.MaxValue, CloseSweeper.Add(TimeSpan.Zero, TimeSpan.MaxValue));
    }
}
