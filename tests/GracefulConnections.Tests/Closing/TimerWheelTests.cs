using CsCheck;
using GracefulConnections.Closing;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Closing;

public class TimerWheelTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly ObservedTimeProvider _time = new();
    private readonly TimerWheel _sut;

    public TimerWheelTests() => _sut = new TimerWheel(_time);

    [Fact]
    public void Wheel_NothingWatched_ArmsNoTimer()
    {
        _time.Advance(TimeSpan.FromDays(1));

        Assert.Equal(1, _time.TimerCount);
        Assert.Empty(_time.Armed);
        Assert.Equal((0, TimeSpan.MaxValue), (_sut.Count, _sut.NextDue));
    }

    // 63 ms and 64 ms are on different levels, and so are 4.095 s and 4.096 s, and so on.
    [Theory]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(4_095)]
    [InlineData(4_096)]
    [InlineData(5_000)]
    [InlineData(262_144)]
    [InlineData(16_777_217)]
    [InlineData(3L * 24 * 3600 * 1000)]
    [InlineData(400L * 24 * 3600 * 1000)]
    public void Watch_OneDeadline_IsMetAtItsTickAndNotBefore(long milliseconds)
    {
        var due = TimeSpan.FromMilliseconds(milliseconds);
        var target = new FakeWheelTarget(_ => null);
        _sut.Watch(target, due);

        var before = due - TimeSpan.FromTicks(1);
        while (_sut.Now < before)
        {
            _time.Advance(Min(_sut.NextDue, before) - _sut.Now);
            Assert.Empty(target.Looks);
        }

        _time.Advance(TimeSpan.FromTicks(1));
        Assert.Equal([due], target.Looks);
        Assert.Equal(0, _sut.Count);
        Assert.True(_time.Armed.Count <= 6 + (int)due.TotalDays, $"{_time.Armed.Count} wake-ups");
    }

    [Fact]
    public void Watch_TheClockBlocksWhileItIsSet_HoldsNobodyElse()
    {
        _time.OnArming = () =>
        {
            var other = new Thread(() => _sut.Unwatch(new FakeWheelTarget(_ => null)));
            other.Start();
            Assert.True(other.Join(TestLimit.Longest), "The wheel sets its timer under its lock.");
        };

        _sut.Watch(new FakeWheelTarget(_ => null), Second);

        Assert.Single(_time.Armed);
    }

    [Fact]
    public void Watch_AnEarlierDeadlineComesWhileTheTimerIsSet_BothAreMet()
    {
        var (earlier, later) = (new FakeWheelTarget(_ => null), new FakeWheelTarget(_ => null));
        _time.OnArming = () =>
        {
            _time.OnArming = null;
            _sut.Watch(earlier, Second);
        };

        _sut.Watch(later, 2 * Second);

        _time.Advance(Second);
        Assert.Equal([Second], earlier.Looks);
        _time.Advance(Second);
        Assert.Equal([2 * Second], later.Looks);
    }

    [Fact]
    public void Watch_DeadlineBetweenTwoTicks_IsMetAtTheLaterOne()
    {
        var target = new FakeWheelTarget(_ => null);
        _sut.Watch(target, TimeSpan.FromMilliseconds(5) + TimeSpan.FromTicks(1));

        _time.Advance(TimeSpan.FromMilliseconds(6) - TimeSpan.FromTicks(1));
        Assert.Empty(target.Looks);
        _time.Advance(TimeSpan.FromTicks(1));

        Assert.Equal([TimeSpan.FromMilliseconds(6)], target.Looks);
    }

    [Fact]
    public void Watch_LaterDeadlineThanOneWatched_LeavesTheTimer()
    {
        _sut.Watch(new FakeWheelTarget(_ => null), TimeSpan.FromMilliseconds(20));
        _sut.Watch(new FakeWheelTarget(_ => null), TimeSpan.FromMilliseconds(50));

        Assert.Equal([TimeSpan.FromMilliseconds(20)], _time.Armed);
    }

    [Theory]
    [InlineData(2, 5)]
    [InlineData(5, 2)]
    public void Watch_WatchedAlready_TheEarlierDeadlineCounts(int first, int second)
    {
        var target = new FakeWheelTarget(_ => null);

        _sut.Watch(target, first * Second);
        _sut.Watch(target, second * Second);
        Assert.Equal(1, _sut.Count);
        _time.Advance((2 * Second) - TimerWheel.Tick);
        Assert.Empty(target.Looks);
        _time.Advance(TimerWheel.Tick);

        Assert.Equal([2 * Second], target.Looks);
        Assert.Equal(0, _sut.Count);
    }

    [Fact]
    public void Watch_DueAlready_IsMetWithTheNextTick()
    {
        _time.Advance(Second);
        var target = new FakeWheelTarget(_ => null);

        _sut.Watch(target, TimeSpan.Zero);
        _time.Advance(TimerWheel.Tick);

        Assert.Equal([Second + TimerWheel.Tick], target.Looks);
    }

    // A near deadline must not count from the time at which the wheel last woke.
    [Fact]
    public void Watch_AfterALongSleepBesideADistantDeadline_ArmsForItsOwnTime()
    {
        _sut.Watch(new FakeWheelTarget(_ => null), TimeSpan.FromHours(20));
        _time.Advance(TimeSpan.FromHours(10));

        _sut.Watch(new FakeWheelTarget(_ => null), TimeSpan.FromHours(10) + TimeSpan.FromMilliseconds(5));

        Assert.Equal(TimeSpan.FromMilliseconds(5), _time.Armed[^1]);
    }

    [Fact]
    public void Watch_NoDeadline_ArmsNoTimer()
    {
        var target = new FakeWheelTarget(_ => null);

        _sut.Watch(target, TimeSpan.MaxValue);
        _time.Advance(TimeSpan.FromDays(1000));

        Assert.Empty(_time.Armed);
        Assert.Empty(target.Looks);
        Assert.Equal(1, _sut.Count);
        _sut.Unwatch(target);
        Assert.Equal(0, _sut.Count);
    }

    [Fact]
    public void Watch_GreatestFiniteDeadline_SleepsADayAtMost()
    {
        _sut.Watch(new FakeWheelTarget(_ => null), TimeSpan.MaxValue - TimeSpan.FromTicks(1));

        _time.Advance(TimeSpan.FromDays(3));

        Assert.All(_time.Armed, sleep => Assert.Equal(TimeSpan.FromDays(1), sleep));
    }

    [Fact]
    public void Unwatch_BeforeTheDeadline_IsNeverLookedAt()
    {
        var target = new FakeWheelTarget(_ => null);
        _sut.Watch(target, Second);

        _sut.Unwatch(target);
        _sut.Unwatch(target);
        _time.Advance(TimeSpan.FromDays(1));

        Assert.Empty(target.Looks);
        Assert.Equal((0, TimeSpan.MaxValue), (_sut.Count, _sut.NextDue));
        Assert.Single(_time.Armed); // The one wake-up that finds nothing.
    }

    [Fact]
    public void Look_AnswersWithATime_IsLookedAtAgainThen()
    {
        var target = new FakeWheelTarget(now => now < 3 * Second ? now + Second : null);
        _sut.Watch(target, Second);

        for (var second = 0; second < 5; second++)
        {
            _time.Advance(Second);
        }

        Assert.Equal([Second, 2 * Second, 3 * Second], target.Looks);
        Assert.Equal(0, _sut.Count);
    }

    [Fact]
    public void Look_AnswersWithThePast_LetsGoOfTheThread()
    {
        var target = new FakeWheelTarget(_ => TimeSpan.Zero);
        _sut.Watch(target, Second);

        _sut.Advance(Second);
        Assert.Equal([Second], target.Looks);
        _sut.Advance(Second + TimerWheel.Tick);

        Assert.Equal(2, target.Looks.Count);
    }

    [Fact]
    public void Look_UnwatchesItself_IsNotWatchedAgain()
    {
        FakeWheelTarget target = null!;
        target = new FakeWheelTarget(now =>
        {
            _sut.Unwatch(target);
            return now + Second;
        });
        _sut.Watch(target, Second);

        _time.Advance(TimeSpan.FromDays(1));

        Assert.Single(target.Looks);
        Assert.Equal(0, _sut.Count);
    }

    [Fact]
    public void Look_UnwatchesOthersThatAreDue_LeavesThem()
    {
        var targets = new List<FakeWheelTarget>();
        for (var i = 0; i < 3; i++)
        {
            targets.Add(new FakeWheelTarget(_ =>
            {
                targets.ForEach(_sut.Unwatch);
                return null;
            }));
        }

        targets.ForEach(target => _sut.Watch(target, Second));
        _time.Advance(Second);

        Assert.Equal(1, targets.Sum(target => target.Looks.Count));
        Assert.Equal(0, _sut.Count);
    }

    [Fact]
    public void Look_WatchedAgainMeanwhile_TakesTheEarlierOfBothTimes()
    {
        FakeWheelTarget target = null!;
        target = new FakeWheelTarget(now =>
        {
            _sut.Watch(target, now + Second);
            return now + (5 * Second);
        });
        _sut.Watch(target, Second);

        _time.Advance(Second);
        _time.Advance(Second);

        Assert.Equal([Second, 2 * Second], target.Looks);
    }

    [Fact]
    public void Look_Throws_CostsNobodyElseAnything()
    {
        var thrown = new InvalidTimeZoneException("mine");
        var throwing = new FakeWheelTarget(_ => throw thrown);
        var others = Enumerable.Range(0, 10).Select(_ => new FakeWheelTarget(_ => null)).ToArray();
        foreach (var other in others[..5])
        {
            _sut.Watch(other, Second);
        }

        _sut.Watch(throwing, Second);
        foreach (var other in others[5..])
        {
            _sut.Watch(other, Second);
        }

        _time.Advance(Second);

        Assert.All(others, other => Assert.Single(other.Looks));
        Assert.Same(thrown, throwing.Failure);
        Assert.Equal(0, _sut.Count);
    }

    // Not the timer: a thread of its own may drive the wheel while the thread pool is blocked, even when a look hangs.
    [Fact]
    public async Task Advance_BesideALookThatHangs_GoesOnWithTheOthers()
    {
        using var hangs = new ManualResetEventSlim();
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var hanging = new FakeWheelTarget(_ =>
        {
            begun.SetResult();
            hangs.Wait();
            return null;
        });
        _sut.Watch(hanging, Second);
        var first = Task.Run(() => _sut.Advance(Second), TestContext.Current.CancellationToken);
        await begun.Task.WithinLimit();
        var other = new FakeWheelTarget(_ => null);
        _sut.Watch(other, Second);

        _sut.Advance(2 * Second);

        Assert.Equal([2 * Second], other.Looks);
        Assert.Single(hanging.Looks);
        hangs.Set();
        await first.WithinLimit();
    }

    [Fact]
    public void Advance_AnySequence_MeetsEachDeadlineOnceAndInItsTick() =>
        Gen.Select(Gen.Int[0, 19], Gen.OneOf(Gen.Long[-5, 130], Gen.Long[0, 70_000], Gen.Long[0, 20_000_000]), Gen.Bool)
            .Array[1, 60]
            .Sample(steps =>
            {
                var wheel = new TimerWheel(new ObservedTimeProvider());
                var now = TimeSpan.Zero;
                var due = new TimeSpan?[20];
                var targets = new FakeWheelTarget[20];
                for (var i = 0; i < targets.Length; i++)
                {
                    var me = i;
                    targets[i] = new FakeWheelTarget(_ =>
                    {
                        Assert.True(now >= due[me], $"{me} was looked at {due[me] - now} early");
                        due[me] = null;
                        return null;
                    });
                }

                foreach (var (who, milliseconds, moves) in steps)
                {
                    var time = TimeSpan.FromMilliseconds(milliseconds) + TimeSpan.FromTicks(milliseconds % 3);
                    if (moves && milliseconds >= 0)
                    {
                        now += time;
                        wheel.Advance(now);
                        Assert.All(due, deadline => Assert.False(
                            deadline + TimerWheel.Tick + TimerWheel.Tick <= now, $"what was due at {deadline} waits at {now}"));
                    }
                    else if (milliseconds < 0)
                    {
                        wheel.Unwatch(targets[who]);
                        due[who] = null;
                    }
                    else
                    {
                        wheel.Watch(targets[who], now + time);
                        due[who] = due[who] < now + time ? due[who] : now + time;
                    }

                    Assert.Equal(due.Count(static deadline => deadline is not null), wheel.Count);
                    var earliest = due.Min();
                    Assert.True(earliest is null || wheel.NextDue <= Max(earliest.Value, now) + TimerWheel.Tick + TimerWheel.Tick);
                }
            });

    [Fact]
    public void Advance_TenThousandInOneSlot_LooksAtEachAtItsOwnTimeWithOneTimer()
    {
        var targets = Enumerable.Range(0, 10_000).Select(_ => new FakeWheelTarget(_ => null)).ToArray();
        for (var i = 0; i < targets.Length; i++)
        {
            _sut.Watch(targets[i], DueOf(i));
        }

        for (var second = 1; second <= 10; second++)
        {
            _time.Advance(Second);
            Assert.Equal(10_000 - (second * 1_000), _sut.Count);
        }

        for (var i = 0; i < targets.Length; i++)
        {
            Assert.Equal([DueOf(i)], targets[i].Looks);
        }

        Assert.Equal(1, _time.TimerCount);

        static TimeSpan DueOf(int i) => (1 + (i % 10)) * Second;
    }

    [Fact]
    public void Watch_Steady_AllocatesNothing()
    {
        var target = new FakeWheelTarget(_ => null);
        _sut.Watch(target, Second);
        _sut.Unwatch(target);
        var before = GC.GetAllocatedBytesForCurrentThread();

        for (var i = 0; i < 100; i++)
        {
            _sut.Watch(target, Second);
            _sut.Unwatch(target);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void For_SameClock_IsTheSameWheel()
    {
        Assert.Same(TimerWheel.For(_time), TimerWheel.For(_time));
        Assert.NotSame(TimerWheel.For(_time), TimerWheel.For(new ObservedTimeProvider()));
    }

    [Fact]
    public void Add_TooGreatOrInfinite_IsTheGreatestTime()
    {
        Assert.Equal(3 * Second, TimerWheel.Add(Second, 2 * Second));
        Assert.Equal(TimeSpan.MaxValue, TimerWheel.Add(Second, Timeout.InfiniteTimeSpan));
        Assert.Equal(TimeSpan.MaxValue, TimerWheel.Add(Second, TimeSpan.MaxValue));
        Assert.Equal(TimeSpan.MaxValue, TimerWheel.Add(TimeSpan.Zero, TimeSpan.MaxValue));
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;
}
