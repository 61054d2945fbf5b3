namespace GracefulConnections.Draining;

/// <summary>
/// Spreads requests over a window at an even rate: each in the middle of its own share, so that none come in a burst at
/// either end.
/// </summary>
internal readonly record struct SpreadSchedule(int Count, TimeSpan Window)
{
    // The system's timer ticks no finer, and a wake-up for each of thousands would be most of the work.
    private static readonly TimeSpan ShortestStep = TimeSpan.FromMilliseconds(10);

    /// <summary>Returns how many are due after <paramref name="elapsed"/>.</summary>
    public int GetDue(TimeSpan elapsed) =>
        elapsed >= Window ? Count : (int)Math.Clamp(Math.Floor((elapsed / Window * Count) + 0.5), 0, Count);

    /// <summary>
    /// Returns when to look again: when the next one after <paramref name="done"/> is due, but not too soon.
    /// </summary>
    public TimeSpan GetNext(TimeSpan elapsed, int done)
    {
        if (done >= Count)
        {
            return TimeSpan.MaxValue;
        }

        var due = Window * ((done + 0.5) / Count);
        return due > elapsed + ShortestStep ? due : elapsed + ShortestStep;
    }
}
