using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Support;

/// <summary>A fake clock that tells how many timers it made and what they were armed with.</summary>
internal sealed class ObservedTimeProvider : FakeTimeProvider
{
    private readonly List<TimeSpan> _armed = [];

    public int TimerCount { get; private set; }

    /// <summary>Gets or sets what runs inside of the call that arms a timer: a clock is foreign code.</summary>
    public Action? OnArming { get; set; }

    /// <summary>Gets the times that timers were armed with, in order; never the infinite one.</summary>
    public IReadOnlyList<TimeSpan> Armed => _armed;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        TimerCount++;
        var timer = new Timer(this, base.CreateTimer(callback, state, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan));
        timer.Change(dueTime, period);
        return timer;
    }

    private sealed class Timer(ObservedTimeProvider owner, ITimer inner) : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            if (dueTime != Timeout.InfiniteTimeSpan)
            {
                owner._armed.Add(dueTime);
                owner.OnArming?.Invoke();
            }

            return inner.Change(dueTime, period);
        }

        public void Dispose() => inner.Dispose();

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }
}
