using System.Runtime.CompilerServices;

namespace GracefulConnections.Closing;

/// <summary>
/// The one timer for the deadlines of many connections: a list that is looked through when the earliest deadline in it is due. No timer exists per connection, and none
/// runs while nothing is watched.
/// </summary>
internal sealed class CloseSweeper
{
    private static readonly ConditionalWeakTable<TimeProvider, Pair> Sweepers = [];

    // A timer's own limit is 49 days; looking once an hour costs nothing.
    private static readonly TimeSpan LongestSleep = TimeSpan.FromHours(1);
    private static readonly TimeSpan ShortestSleep = TimeSpan.FromMilliseconds(1);

    // A look goes through the whole list: while thousands close at once, it may take no more than a few percent of the time.
    private const int WatchedPerMillisecond = 1_000;

    private readonly TimeProvider _time;
    private readonly long _epoch;
    private readonly Lock _lock = new();
    private readonly List<Sweepable> _due = [];
    private readonly ITimer _timer;
    private Sweepable? _first;
    private Sweepable? _last;
    private TimeSpan _wakeAt = TimeSpan.MaxValue;
    private TimeSpan _earliest; // While sweeping: of what has been looked at or was watched meanwhile.
    private bool _sweeping;

    public CloseSweeper(TimeProvider time)
    {
        _time = time;
        _epoch = time.GetTimestamp();

        // Nobody's execution context: the sweeper outlives whoever needs it first.
        using (ExecutionContext.SuppressFlow())
        {
            _timer = time.CreateTimer(static state => ((CloseSweeper)state!).Sweep(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Gets the time since the sweeper was made.</summary>
    public TimeSpan Now => _time.GetElapsedTime(_epoch);

    /// <summary>Gets the number of things watched.</summary>
    public int Count { get; private set; }

    /// <summary>Returns the sweeper of all connections that are closing on this clock.</summary>
    public static CloseSweeper ForClosing(TimeProvider time) => Sweepers.GetValue(time, static time => new Pair(time)).Closing;

    /// <summary>Returns the sweeper of open connections with limits on this clock: many, with distant deadlines, so apart from the few that close right now.</summary>
    public static CloseSweeper ForOpen(TimeProvider time) => Sweepers.GetValue(time, static time => new Pair(time)).Open;

    /// <summary>Sweeps what is due on this clock, when no thread of the pool may be free for a timer.</summary>
    public static void Advance(TimeProvider time)
    {
        if (Sweepers.TryGetValue(time, out var pair))
        {
            pair.Closing.Sweep();
            pair.Open.Sweep();
        }
    }

    /// <summary>Returns the sum, or the greatest time if there is none that great.</summary>
    public static TimeSpan Add(TimeSpan now, TimeSpan timeout) =>
        timeout == Timeout.InfiniteTimeSpan || timeout > TimeSpan.MaxValue - now ? TimeSpan.MaxValue : now + timeout;

    /// <summary>Watches <paramref name="target"/> until its sweep returns <see langword="null"/> or <see cref="Unwatch"/> is called.
    /// If it is watched already, looks at it by <paramref name="due"/>.</summary>
    public void Watch(Sweepable target, TimeSpan due)
    {
        lock (_lock)
        {
            ref var entry = ref target.Entry;
            if (!entry.IsWatched)
            {
                entry = new Sweepable.Watch { IsWatched = true, Due = due, Previous = _last };
                if (_last is null)
                {
                    _first = target;
                }
                else
                {
                    _last.Entry.Next = target;
                }

                _last = target;
                Count++;
            }
            else if (due < entry.Due)
            {
                entry.Due = due;
            }

            WakeBy_NeedsLock(due);
        }
    }

    /// <summary>Stops watching. Does nothing when <paramref name="target"/> is not watched.</summary>
    public void Unwatch(Sweepable target)
    {
        lock (_lock)
        {
            Unwatch_NeedsLock(target);
        }
    }

    private void Sweep()
    {
        var now = Now;
        lock (_lock)
        {
            if (_sweeping)
            {
                return;
            }

            _sweeping = true;
            _earliest = TimeSpan.MaxValue;
            for (var target = _first; target is not null; target = target.Entry.Next)
            {
                if (target.Entry.Due <= now)
                {
                    target.Entry.Due = TimeSpan.MaxValue;
                    _due.Add(target);
                }
                else if (target.Entry.Due < _earliest)
                {
                    _earliest = target.Entry.Due;
                }
            }
        }

        foreach (var target in _due)
        {
            var next = target.Sweep(now);
            lock (_lock)
            {
                if (next is null)
                {
                    Unwatch_NeedsLock(target);
                }
                else if (next < target.Entry.Due)
                {
                    target.Entry.Due = next.Value;
                    WakeBy_NeedsLock(next.Value);
                }
            }
        }

        lock (_lock)
        {
            _due.Clear();
            _sweeping = false;
            _wakeAt = TimeSpan.MaxValue;
            if (_first is not null)
            {
                WakeBy_NeedsLock(_earliest);
            }
        }
    }

    private void Unwatch_NeedsLock(Sweepable target)
    {
        ref var entry = ref target.Entry;
        if (!entry.IsWatched)
        {
            return;
        }

        if (entry.Previous is null)
        {
            _first = entry.Next;
        }
        else
        {
            entry.Previous.Entry.Next = entry.Next;
        }

        if (entry.Next is null)
        {
            _last = entry.Previous;
        }
        else
        {
            entry.Next.Entry.Previous = entry.Previous;
        }

        entry = default;
        Count--;
    }

    private void WakeBy_NeedsLock(TimeSpan due)
    {
        if (_sweeping)
        {
            _earliest = due < _earliest ? due : _earliest; // The end of the sweep arms the timer.
            return;
        }

        if (due >= _wakeAt)
        {
            return; // The timer is armed early enough.
        }

        _wakeAt = due;
        var sleep = due == TimeSpan.MaxValue ? LongestSleep : TimeSpan.FromMilliseconds(Math.Ceiling((due - Now).TotalMilliseconds)); // A timer rounds down, and would wake before anything is due.
        var shortest = ShortestSleep * (1 + (Count / WatchedPerMillisecond));
        _timer.Change(sleep < shortest ? shortest : sleep > LongestSleep ? LongestSleep : sleep, Timeout.InfiniteTimeSpan);
    }

    private sealed class Pair(TimeProvider time)
    {
        public CloseSweeper Closing { get; } = new(time);

        public CloseSweeper Open { get; } = new(time);
    }
}
