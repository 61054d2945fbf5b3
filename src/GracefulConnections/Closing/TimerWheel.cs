using System.Runtime.CompilerServices;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Closing;

/// <summary>
/// The deadlines of all connections on one clock, with one timer: a hierarchical wheel. To watch, to move a deadline
/// and to unwatch cost the same with one target as with a million. The timer does not run while nothing is due.
/// </summary>
/// <remarks>
/// The tick is 1 ms. A deadline never fires early, and fires at most one tick late. Level 0 has a slot for each of the
/// next 64 ticks, level 1 one for each 64 ticks, and so on. When the clock reaches a slot above level 0, its targets
/// move down, so a distant deadline costs one wake-up for each level before its own.
/// </remarks>
internal sealed class TimerWheel
{
    public static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(1);

    // A timer's own limit is 49 days.
    private static readonly TimeSpan LongestSleep = TimeSpan.FromDays(1);

    // While one thread looks at what is due, another one helps only if the first is held up by a target.
    private static readonly TimeSpan HelpDelay = TimeSpan.FromMilliseconds(20);
    private static readonly ConditionalWeakTable<TimeProvider, TimerWheel> Wheels = [];

    private readonly TimeProvider _time;
    private readonly long _epoch;
    private readonly Lock _lock = new();
    private readonly ITimer _timer;
    private readonly WheelSlots _slots = new();
    private long _armedFor = long.MaxValue;
    private bool _isArming; // A thread is inside of the timer.
    private int _advancing; // Threads of the timer that are in Advance.
    private int _count;

    public TimerWheel(TimeProvider time)
    {
        _time = time;
        _epoch = time.GetTimestamp();

        // Nobody's execution context, because the wheel outlives whoever needs it first.
        using (ExecutionContext.SuppressFlow())
        {
            _timer = time.CreateTimer(
                static state => ((TimerWheel)state!).OnTimer(),
                this,
                Timeout.InfiniteTimeSpan,
                Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Gets the time since the wheel was made.</summary>
    public TimeSpan Now => _time.GetElapsedTime(_epoch);

    /// <summary>Gets the number of targets watched.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>
    /// Gets when <see cref="Advance"/> has something to do next; the greatest time for never. No deadline is before it.
    /// </summary>
    public TimeSpan NextDue
    {
        get
        {
            lock (_lock)
            {
                var next = _slots.NextTick;
                return next == long.MaxValue ? TimeSpan.MaxValue : next * Tick;
            }
        }
    }

    /// <summary>Returns the wheel of a clock.</summary>
    public static TimerWheel For(TimeProvider time) => Wheels.GetValue(time, static time => new TimerWheel(time));

    /// <summary>Returns the sum, or the greatest time if there is none that great.</summary>
    public static TimeSpan Add(TimeSpan now, TimeSpan timeout) =>
        timeout == Timeout.InfiniteTimeSpan || timeout > TimeSpan.MaxValue - now ? TimeSpan.MaxValue : now + timeout;

    /// <summary>
    /// Watches <paramref name="target"/> until its look returns <see langword="null"/> or <see cref="Unwatch"/> is
    /// called. If it is watched already, the earlier deadline counts.
    /// </summary>
    public void Watch(WheelTarget target, TimeSpan due) => Watch(target, due, Now);

    /// <summary>Watches it in the same way, for a time from now on.</summary>
    public void WatchFor(WheelTarget target, TimeSpan time)
    {
        var now = Now;
        Watch(target, now + time, now);
    }

    /// <summary>Stops watching. Does nothing when <paramref name="target"/> is not watched.</summary>
    public void Unwatch(WheelTarget target)
    {
        Interleaving.Point();
        lock (_lock)
        {
            if (target.Entry.Watch != WheelTarget.Watch.None)
            {
                _slots.Dequeue(target);
                target.Entry = default;
                _count--;
            }
        }
    }

    /// <summary>
    /// Looks at every target that is due by <paramref name="now"/>, a time of <see cref="Now"/>. The wheel's timer
    /// calls it; so may any other thread, at any time and beside others. A target that throws costs no other target
    /// anything.
    /// </summary>
    public void Advance(TimeSpan now)
    {
        var end = now.Ticks / Tick.Ticks;
        while (TryTake(end, out var target))
        {
            if (target is not null)
            {
                Look(target, now);
            }
        }
    }

    private void Watch(WheelTarget target, TimeSpan due, TimeSpan now)
    {
        bool isEarliest;
        Interleaving.Point();
        lock (_lock)
        {
            ref var entry = ref target.Entry;
            switch (entry.Watch)
            {
                case WheelTarget.Watch.None:
                    _count++;
                    entry.Due = due;
                    break;
                case WheelTarget.Watch.Looking: // Whoever looks queues it, by the earlier deadline.
                    entry.Due = due < entry.Due ? due : entry.Due;
                    return;
                default:
                    if (due >= entry.Due)
                    {
                        return;
                    }

                    _slots.Dequeue(target);
                    entry.Due = due;
                    break;
            }

            _slots.CatchUp(now);
            _slots.Enqueue(target);
            isEarliest = _slots.NextTick < _armedFor;
        }

        if (isEarliest)
        {
            Arm();
        }
    }

    private void OnTimer()
    {
        Interleaving.Point();
        lock (_lock)
        {
            _advancing++;
            _armedFor = long.MaxValue;
        }

        Advance(Now);
        Interleaving.Point();
        lock (_lock)
        {
            _advancing--;
            _armedFor = long.MaxValue; // It may be armed as late as a helper is.
        }

        Arm();
    }

    private void Look(WheelTarget target, TimeSpan now)
    {
        TimeSpan? next = null;
        try
        {
            next = target.Look(now);
        }
        catch (Exception exception)
        {
            // Foreign code below the target threw, or the target has a bug. The others must not wait for ever because
            // of it.
            Unwatch(target);
            target.OnLookFailed(exception);
            return;
        }

        Interleaving.Point();
        lock (_lock)
        {
            ref var entry = ref target.Entry;
            if (entry.Watch != WheelTarget.Watch.Looking)
            {
                return; // Unwatched meanwhile, or watched again after that.
            }

            if (next is null)
            {
                entry = default;
                _count--;
                return;
            }

            entry.Due = next.Value < entry.Due ? next.Value : entry.Due;
            _slots.Enqueue(target);
        }
    }

    private bool TryTake(long end, out WheelTarget? target)
    {
        Interleaving.Point();
        lock (_lock)
        {
            var isMore = _slots.TryTake(end, out target);
            if (target is not null)
            {
                target.Entry.Watch = WheelTarget.Watch.Looking;
                target.Entry.Due = TimeSpan.MaxValue;
            }

            return isMore;
        }
    }

    // One thread at a time sets the timer, with nothing held, because a clock is foreign code and may call back from
    // there. Whoever comes meanwhile leaves it to that one, which looks again.
    private void Arm()
    {
        while (TryBeginArming(out var sleep))
        {
            try
            {
                _timer.Change(sleep, Timeout.InfiniteTimeSpan);
            }
            finally
            {
                Interleaving.Point();
                lock (_lock)
                {
                    _isArming = false;
                }
            }
        }
    }

    /// <returns><see langword="false"/> when the timer is or will be set early enough, or nothing is due.</returns>
    private bool TryBeginArming(out TimeSpan sleep)
    {
        sleep = default;
        var now = Now;
        Interleaving.Point();
        lock (_lock)
        {
            var next = _slots.NextTick;
            if (_isArming || next >= _armedFor)
            {
                return false;
            }

            _isArming = true;
            _armedFor = next;
            sleep = TimeSpan.FromMilliseconds(Math.Ceiling(((next * Tick) - now).TotalMilliseconds)); // It rounds down.
            var shortest = _advancing > 0 ? HelpDelay : Tick;
            sleep = sleep < shortest ? shortest : sleep > LongestSleep ? LongestSleep : sleep;
            return true;
        }
    }
}
