namespace GracefulConnections.Tests.Stress.Support;

/// <summary>
/// A clock whose timers fire when somebody moves it, each at its own time, and never from within whoever arms them: there they would run under that one's lock, as no real timer does.
/// </summary>
internal sealed class SteppedTimeProvider : TimeProvider
{
    private const int MostFires = 100_000;

    private readonly Lock _lock = new();
    private readonly List<Timer> _armed = [];
    private long _now;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public TimeSpan Now => new(Volatile.Read(ref _now));

    /// <summary>Gets the number of timers that wait.</summary>
    public int ArmedCount
    {
        get
        {
            lock (_lock)
            {
                return _armed.Count;
            }
        }
    }

    public override long GetTimestamp() => Volatile.Read(ref _now);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, () => callback(state));
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Moves the clock and fires what comes due, in order; with no time at all, what is due by now.</summary>
    public void Advance(TimeSpan time)
    {
        long end;
        lock (_lock)
        {
            end = _now + time.Ticks;
        }

        for (var i = 0; TakeDue(end) is { } timer; i++)
        {
            BrokenInvariantException.ThrowIf(i > MostFires, "a timer is due again and again, at the same time");
            timer.Fire();
        }

        lock (_lock)
        {
            _now = Math.Max(_now, end);
        }
    }

    private Timer? TakeDue(long end)
    {
        lock (_lock)
        {
            var first = _armed.MinBy(static timer => timer.Due);
            if (first is null || first.Due > end)
            {
                return null;
            }

            _armed.Remove(first);
            _now = Math.Max(_now, first.Due);
            return first;
        }
    }

    private sealed class Timer(SteppedTimeProvider owner, Action fire) : ITimer
    {
        private bool _isDisposed;

        public long Due { get; private set; }

        public void Fire() => fire();

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (owner._lock)
            {
                owner._armed.Remove(this);
                if (!_isDisposed && dueTime != Timeout.InfiniteTimeSpan)
                {
                    Due = owner._now + dueTime.Ticks;
                    owner._armed.Add(this);
                }

                return !_isDisposed;
            }
        }

        public void Dispose()
        {
            lock (owner._lock)
            {
                _isDisposed = true;
                owner._armed.Remove(this);
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
