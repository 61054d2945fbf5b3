namespace GracefulConnections.Closing;

/// <summary>Something whose deadlines a sweeper watches. Carries its own place in the sweeper's list, so that watching allocates nothing.</summary>
internal abstract class Sweepable
{
    /// <summary>Acts on what is due, and says when to look again. Called by one thread at a time, without a lock held.</summary>
    /// <param name="now">The sweeper's clock.</param>
    /// <returns>The time of the next look on the same clock, or <see langword="null"/> to be left alone from now on.</returns>
    public abstract TimeSpan? Sweep(TimeSpan now);

    /// <summary>The sweeper's own notes. Guarded by its lock.</summary>
    internal Watch Entry;

    internal struct Watch
    {
        public bool IsWatched;
        public TimeSpan Due;
        public Sweepable? Previous;
        public Sweepable? Next;
    }
}
