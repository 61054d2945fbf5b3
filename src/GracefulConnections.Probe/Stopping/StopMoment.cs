namespace GracefulConnections.Probe.Stopping;

/// <summary>Knows whether the stop has begun. Peers ask before they send, the act says when.</summary>
internal sealed class StopMoment(TimeProvider time)
{
    /// <summary>
    /// How long peers wait for a stop to end their connections: a little longer than the grade rule allows.
    /// </summary>
    public static readonly TimeSpan Longest = TimeSpan.FromSeconds(65);

    private long _began;

    public bool HasBegun => Volatile.Read(ref _began) != 0;

    public TimeSpan Elapsed => HasBegun ? time.GetElapsedTime(Volatile.Read(ref _began)) : TimeSpan.Zero;

    public void Begin() => Volatile.Write(ref _began, time.GetTimestamp());
}
