namespace GracefulConnections.Draining;

/// <summary>Counts how the connections of one drain ended.</summary>
internal sealed class DrainTally
{
    private readonly Dictionary<CloseOutcome, int> _outcomes = [];
    private long _discardedBytes;
    private long _unacknowledgedBytes;

    /// <summary>Gets the number of connections that belong to the drain, ended or not.</summary>
    public int ConnectionCount { get; private set; }

    public void Join() => ConnectionCount++;

    public void Add(in CloseResult result)
    {
        _outcomes[result.Outcome] = _outcomes.GetValueOrDefault(result.Outcome) + 1;
        _discardedBytes += result.DiscardedBytes;
        _unacknowledgedBytes += result.UnacknowledgedBytes ?? 0;
    }

    public DrainReport ToReport(
        TimeSpan duration, IReadOnlyList<TrackedConnectionInfo> aborted, int unendedHandlerCount) => new()
        {
            Duration = duration,
            ConnectionCount = ConnectionCount,
            Outcomes = _outcomes,
            DiscardedBytes = _discardedBytes,
            UnacknowledgedBytes = _unacknowledgedBytes,
            Aborted = aborted,
            UnendedHandlerCount = unendedHandlerCount,
        };
}
