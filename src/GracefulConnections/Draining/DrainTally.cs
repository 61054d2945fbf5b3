namespace GracefulConnections.Draining;

/// <summary>Counts how the connections of one batch ended.</summary>
internal sealed class DrainTally
{
    private readonly Dictionary<CloseOutcome, int> _outcomes = [];
    private long _discardedBytes;
    private long _unacknowledgedBytes;

    /// <summary>Gets or sets the number of connections that belong to the batch, ended or not.</summary>
    public int ConnectionCount { get; set; }

    public void Add(in CloseResult result)
    {
        _outcomes[result.Outcome] = _outcomes.GetValueOrDefault(result.Outcome) + 1;
        _discardedBytes += result.DiscardedBytes;
        _unacknowledgedBytes += result.UnacknowledgedBytes ?? 0;
    }

    public DrainReport ToReport(TimeSpan duration, TrackedConnectionInfo[] aborted, int unendedHandlerCount) => new()
    {
        Duration = duration,
        ConnectionCount = ConnectionCount,
        Outcomes = _outcomes,
        DiscardedBytes = _discardedBytes,
        UnacknowledgedBytes = _unacknowledgedBytes,
        UnansweredCount = aborted.Count(static info => info.Activity == ConnectionActivity.Busy),
        Aborted = aborted,
        UnendedHandlerCount = unendedHandlerCount,
    };
}
