using System.Numerics;
using System.Runtime.CompilerServices;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Closing;

/// <summary>
/// The deadlines of all connections on one clock, with one timer: a hierarchical wheel. To watch, to move a deadline and to unwatch
/// cost the same with one target as with a million. The timer does not run while nothing is due.
/// </summary>
/// <remarks>
/// The tick is 1 ms. A deadline never fires early, and fires at most one tick late. Level 0 has a slot for each of the next 64
/// ticks, level 1 one for each 64 ticks, and so on. When the clock reaches a slot above level 0, its targets move down, so a
/// distant deadline costs one wake-up for each level before its own.
/// </remarks>
internal sealed class TimerWheel
{
    public static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(1);

    private const int SlotBits = 6;
    private const int SlotCount = 1 << SlotBits;
    private const int LevelCount = 9; // 2^54 ms: beyond the greatest TimeSpan.
    private const int MovesInARow = 256; // A slot may hold a million targets, and others wait for the lock meanwhile.

    // A timer's own limit is 49 days.
    private static readonly TimeSpan LongestSleep = TimeSpan.FromDays(1);

    // While one thread looks at what is due, another one helps only if the first is held up by a target.
    private static readonly TimeSpan HelpDelay = TimeSpan.FromMilliseconds(20);
    private static readonly ConditionalWeakTable<TimeProvider, TimerWheel> Wheels = [];

    private readonly TimeProvider _time;
    private readonly long _epoch;
    private readonly Lock _lock = new();
    private readonly ITimer _timer;
    private readonly WheelTarget?[] _slots = new WheelTarget?[LevelCount * SlotCount];
    private readonly ulong[] _occupied = new ulong[LevelCount]; // One bit for each slot that is not empty.
    private long _current; // The tick up to which everything was looked at.
    private long _armedFor = long.MaxValue;
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
                static state => ((TimerWheel)state!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
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
                var next = NextSlot_NeedsLock(out _, out _);
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
    /// Watches <paramref name="target"/> until its look returns <see langword="null"/> or <see cref="Unwatch"/> is called. If it is
    /// watched already, the earlier deadline counts.
    /// </summary>
    public void Watch(WheelTarget target, TimeSpan due)
    {
        var now = Now;
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

                    Dequeue_NeedsLock(target);
                    entry.Due = due;
                    break;
            }

            CatchUp_NeedsLock(now);
            Enqueue_NeedsLock(target);
            WakeBy_NeedsLock();
        }
    }

    /// <summary>Stops watching. Does nothing when <paramref name="target"/> is not watched.</summary>
    public void Unwatch(WheelTarget target)
    {
        Interleaving.Point();
        lock (_lock)
        {
            if (target.Entry.Watch != WheelTarget.Watch.None)
            {
                Dequeue_NeedsLock(target);
                target.Entry = default;
                _count--;
            }
        }
    }

    /// <summary>
    /// Looks at every target that is due by <paramref name="now"/>, a time of <see cref="Now"/>. The wheel's timer calls it; so may
    /// any other thread, at any time and beside others. A target that throws costs no other target anything.
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

    private static long TickOf(TimeSpan due) => (due.Ticks / Tick.Ticks) + (due.Ticks % Tick.Ticks == 0 ? 0 : 1);

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
            WakeBy_NeedsLock();
        }
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
            // Foreign code below the target threw, or the target has a bug. The others must not wait for ever because of it.
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
            Enqueue_NeedsLock(target);
        }
    }

    /// <summary>Takes the next target that is due, or moves some of a slot to lower levels.</summary>
    /// <returns>Whether there may be more.</returns>
    private bool TryTake(long end, out WheelTarget? target)
    {
        target = null;
        Interleaving.Point();
        lock (_lock)
        {
            var next = NextSlot_NeedsLock(out var level, out var slot);
            if (next > end)
            {
                _current = Math.Max(_current, end);
                return false;
            }

            _current = Math.Max(_current, next);
            var first = _slots[(level * SlotCount) + slot]!;
            if (level == 0)
            {
                Dequeue_NeedsLock(first);
                first.Entry.Watch = WheelTarget.Watch.Looking;
                first.Entry.Due = TimeSpan.MaxValue;
                target = first;
                return true;
            }

            for (var moves = 0; moves < MovesInARow && first is not null; moves++)
            {
                var following = first.Entry.Next;
                Dequeue_NeedsLock(first);
                Enqueue_NeedsLock(first);
                first = following;
            }

            return true;
        }
    }

    private void Enqueue_NeedsLock(WheelTarget target)
    {
        ref var entry = ref target.Entry;
        if (entry.Due == TimeSpan.MaxValue)
        {
            entry.Watch = WheelTarget.Watch.Parked;
            return;
        }

        // One that is late already is due with the next tick, or a target that always is would never let go of its thread.
        var tick = Math.Max(TickOf(entry.Due), entry.Watch == WheelTarget.Watch.Queued ? _current : _current + 1);
        var level = BitOperations.Log2((ulong)((tick ^ _current) | (SlotCount - 1))) / SlotBits;
        var slot = (int)(tick >> (level * SlotBits)) & (SlotCount - 1);
        ref var head = ref _slots[(level * SlotCount) + slot];
        entry.Watch = WheelTarget.Watch.Queued;
        (entry.Level, entry.Slot) = ((byte)level, (byte)slot);
        (entry.Previous, entry.Next) = (null, head);
        if (head is not null)
        {
            head.Entry.Previous = target;
        }

        head = target;
        _occupied[level] |= 1UL << slot;
    }

    /// <summary>Takes the target out of its slot, if it is in one.</summary>
    private void Dequeue_NeedsLock(WheelTarget target)
    {
        ref var entry = ref target.Entry;
        if (entry.Watch != WheelTarget.Watch.Queued)
        {
            return;
        }

        if (entry.Next is not null)
        {
            entry.Next.Entry.Previous = entry.Previous;
        }

        if (entry.Previous is not null)
        {
            entry.Previous.Entry.Next = entry.Next;
        }
        else
        {
            _slots[(entry.Level * SlotCount) + entry.Slot] = entry.Next;
            if (entry.Next is null)
            {
                _occupied[entry.Level] &= ~(1UL << entry.Slot);
            }
        }

        (entry.Previous, entry.Next) = (null, null);
    }

    // The slots behind the clock's own are empty on every level, because their targets were taken or have moved down.
    private long NextSlot_NeedsLock(out int level, out int slot)
    {
        var next = long.MaxValue;
        (level, slot) = (0, 0);
        for (var i = 0; i < LevelCount; i++)
        {
            if (_occupied[i] == 0)
            {
                continue;
            }

            var first = BitOperations.TrailingZeroCount(_occupied[i]);
            var above = (i + 1) * SlotBits;
            var start = (_current >> above << above) + ((long)first << (i * SlotBits));
            if (start <= next) // Of two that start together the higher one goes first: it may hold what is due before.
            {
                (next, level, slot) = (start, i, first);
            }
        }

        return next;
    }

    // After a long sleep a near deadline would else count from long ago, in a slot that is reached at once.
    private void CatchUp_NeedsLock(TimeSpan now)
    {
        var tick = now.Ticks / Tick.Ticks;
        if (tick > _current && NextSlot_NeedsLock(out _, out _) > tick)
        {
            _current = tick;
        }
    }

    private void WakeBy_NeedsLock()
    {
        var next = NextSlot_NeedsLock(out _, out _);
        if (next >= _armedFor)
        {
            return; // The timer is armed early enough, or nothing is due.
        }

        _armedFor = next;
        var sleep = TimeSpan.FromMilliseconds(Math.Ceiling(((next * Tick) - Now).TotalMilliseconds)); // A timer rounds down.
        var shortest = _advancing > 0 ? HelpDelay : Tick;
        _timer.Change(sleep < shortest ? shortest : sleep > LongestSleep ? LongestSleep : sleep, Timeout.InfiniteTimeSpan);
    }
}
