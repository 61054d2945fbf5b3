namespace GracefulConnections.Closing;

/// <summary>
/// Something whose deadlines a wheel watches. It carries its own place in the wheel, so that watching allocates
/// nothing.
/// </summary>
internal abstract class WheelTarget
{
    /// <summary>The wheel's own notes. Guarded by its lock.</summary>
    internal Place Entry;

    internal enum Watch : byte
    {
        /// <summary>Not watched.</summary>
        None,

        /// <summary>Watched, without a deadline.</summary>
        Parked,

        /// <summary>Watched, in a slot.</summary>
        Queued,

        /// <summary>Watched, and a thread is inside of <see cref="Look"/>.</summary>
        Looking,
    }

    /// <summary>
    /// Acts on what is due, and says when to look again. Called by one thread at a time, without a lock held.
    /// </summary>
    /// <param name="now">The wheel's clock.</param>
    /// <returns>
    /// The time of the next look on the same clock, or <see langword="null"/> to be left alone from now on.
    /// </returns>
    public abstract TimeSpan? Look(TimeSpan now);

    /// <summary><see cref="Look"/> threw, and the target is watched no more. Must not throw.</summary>
    public abstract void OnLookFailed(Exception exception);

    internal struct Place
    {
        public Watch Watch;
        public byte Level;
        public byte Slot;
        public TimeSpan Due;
        public WheelTarget? Previous;
        public WheelTarget? Next;
    }
}
