namespace GracefulConnections.Draining;

/// <summary>The connections of one batch, and how they ended. The caller holds the lock.</summary>
internal sealed class BatchMembers
{
    private readonly HashSet<TrackedConnection> _left = [];
    private readonly Dictionary<TrackedConnection, TrackedConnectionInfo> _aborted = [];
    private readonly Dictionary<CloseOutcome, int> _outcomes = [];
    private int _count;
    private long _discardedBytes;
    private long _unacknowledgedBytes;

    public IReadOnlyCollection<TrackedConnection> Left => _left;

    public void Join(IEnumerable<TrackedConnection> connections) => _count += connections.Count(_left.Add);

    public bool IsLeft(TrackedConnection connection) => _left.Contains(connection);

    /// <summary>Takes a connection out again, as if it had never joined.</summary>
    /// <returns>Whether it was in it and not yet aborted.</returns>
    public bool TryRelease(TrackedConnection connection)
    {
        var isReleased = !_aborted.ContainsKey(connection) && _left.Remove(connection);
        _count -= isReleased ? 1 : 0;
        return isReleased;
    }

    /// <summary>Sorts connections by whose turn comes first: idle ones; those known to be busy come last.</summary>
    /// <returns>What their handlers do. Each connection takes its own lock for it, so call it outside of all.</returns>
    public static ConnectionActivity[] Sort(TrackedConnection[] connections)
    {
        var activities = Array.ConvertAll(connections, static connection => connection.Activity);
        var turns = Array.ConvertAll(activities, static activity => activity switch
        {
            ConnectionActivity.Idle => 0,
            ConnectionActivity.Unknown => 1,
            _ => 2,
        });
        Array.Sort(turns, connections);
        return activities;
    }

    public void NoteAbort(TrackedConnection connection, TrackedConnectionInfo info)
    {
        if (_left.Contains(connection))
        {
            _aborted.TryAdd(connection, info); // One that joins at the deadline is aborted twice.
        }
    }

    public void NoteEnd(TrackedConnection connection, in CloseResult result)
    {
        if (!_left.Remove(connection))
        {
            return;
        }

        Count(result);
        if (result.Outcome != CloseOutcome.Aborted)
        {
            _aborted.Remove(connection); // It ended by itself right before.
        }
    }

    /// <summary>Counts those that are left as aborted, and forgets all: the report outlives its connections.</summary>
    public DrainReport ToReport(CloseReason reason, TimeSpan duration)
    {
        foreach (var connection in _left)
        {
            // Without a result it was never aborted, for example because it joined at the very end.
            Count(connection.Result ?? new CloseResult { Reason = reason, Outcome = CloseOutcome.Aborted });
        }

        TrackedConnectionInfo[] aborted = [.. _aborted.Values.OrderByDescending(static info => info.Age)];
        var unended = _left.Count;
        _left.Clear();
        _aborted.Clear();
        return new DrainReport
        {
            Duration = duration,
            ConnectionCount = _count,
            Outcomes = _outcomes,
            DiscardedBytes = _discardedBytes,
            UnacknowledgedBytes = _unacknowledgedBytes,
            UnansweredCount = aborted.Count(static info => info.Activity == ConnectionActivity.Busy),
            Aborted = aborted,
            UnendedHandlerCount = unended,
        };
    }

    private void Count(in CloseResult result)
    {
        _outcomes[result.Outcome] = _outcomes.GetValueOrDefault(result.Outcome) + 1;
        _discardedBytes += result.DiscardedBytes;
        _unacknowledgedBytes += result.UnacknowledgedBytes ?? 0;
    }
}
