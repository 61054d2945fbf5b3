using GracefulConnections.Diagnostics;

namespace GracefulConnections.Draining;

/// <content>Which connections are in the batch, and who waits for them.</content>
internal sealed partial class Batch
{
    private readonly HashSet<TrackedConnection> _left = [];
    private readonly List<TrackedConnection> _joined = []; // They have no turn, or it came too early for them.
    private readonly HashSet<TrackedConnection> _callers = []; // Of those that are left: their handlers wait for us.
    private readonly HashSet<TrackedConnection> _outgoing = []; // They had their turn while accepted ones were left.
    private readonly List<(CloseResult Result, TrackedConnectionInfo? Aborted)> _ends = [];
    private readonly TaskCompletionSource<DrainReport> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<DrainReport> _othersEnded = new(
        TaskCreationOptions.RunContinuationsAsynchronously);

    private int _acceptedLeft; // Without those whose handlers wait for this batch, because they end when it does.

    public Task<DrainReport> Ended => _ended.Task;

    public int LeftCount_NeedsLock => IsOver_NeedsLock ? 0 : _left.Count;

    private bool HasDueOutgoing_NeedsLock => _outgoing.Count > 0 && _acceptedLeft == 0;

    public bool Contains_NeedsLock(TrackedConnection connection) => !IsOver_NeedsLock && _left.Contains(connection);

    /// <summary>Adds connections. Then call <see cref="Drive"/>, outside of the lock.</summary>
    public void Join_NeedsLock(params IEnumerable<TrackedConnection> connections)
    {
        foreach (var connection in connections.Where(_left.Add))
        {
            _joined.Add(connection);
            _acceptedLeft += connection.IsOutgoing ? 0 : 1;
        }
    }

    /// <summary>Waits for the end.</summary>
    /// <param name="caller">
    /// The connection whose handler waits. If it is one of the batch, only the others are waited for.
    /// </param>
    public Task<DrainReport> WaitAsync(TrackedConnection? caller)
    {
        Interleaving.Point();
        lock (_context.Lock)
        {
            if (caller is null || !Contains_NeedsLock(caller))
            {
                return _ended.Task;
            }

            _acceptedLeft -= _callers.Add(caller) && !caller.IsOutgoing ? 1 : 0;
            OnLess_NeedsLock();
        }

        _context.Reports.Run();
        return _othersEnded.Task;
    }

    /// <summary>One of the connections has ended, and its handler with it. Then run the reports.</summary>
    public void Remove_NeedsLock(TrackedConnection connection, in CloseResult result)
    {
        if (!IsOver_NeedsLock && _left.Remove(connection))
        {
            _outgoing.Remove(connection);
            _acceptedLeft -= _callers.Remove(connection) || connection.IsOutgoing ? 0 : 1;
            var isAborted = result.Outcome == CloseOutcome.Aborted; // Or it ended by itself right before.
            _ends.Add((result, isAborted ? connection.GetInfoBeforeAbort(this) : null));
            OnLess_NeedsLock();
        }
    }

    private TrackedConnection[] TakeJoined_NeedsLock()
    {
        TrackedConnection[] joined = [.. _joined];
        _joined.Clear();
        return joined;
    }

    // A connection that the server made is asked when those that it accepted have ended, because their handlers may
    // need it to the end. There may be thousands, and one that is accepted meanwhile must not look at each of them.
    private TrackedConnection[] GetAsked_NeedsLock(IEnumerable<TrackedConnection> due)
    {
        var waits = due.Where(_left.Contains).ToLookup(connection => connection.IsOutgoing && _acceptedLeft > 0);
        _outgoing.UnionWith(waits[true]);
        return [.. waits[false], .. _acceptedLeft > 0 ? [] : TakeOutgoing_NeedsLock()];
    }

    private TrackedConnection[] TakeOutgoing_NeedsLock()
    {
        TrackedConnection[] outgoing = [.. _outgoing];
        _outgoing.Clear();
        return outgoing;
    }

    private void OnLess_NeedsLock()
    {
        EndIfEmpty_NeedsLock();
        if (HasDueOutgoing_NeedsLock)
        {
            Wake_NeedsLock(); // The timer drives, outside of the lock.
        }
    }

    private void EndIfEmpty_NeedsLock()
    {
        if (_plan is null || IsOver_NeedsLock)
        {
            return;
        }

        if (_left.Count == 0)
        {
            End_NeedsLock();
        }
        else if (_left.Count == _callers.Count && !_othersEnded.Task.IsCompleted)
        {
            var others = DrainReport.Create(Elapsed_NeedsLock, _ends, unendedHandlerCount: 0);
            _context.Reports.Add(() => _othersEnded.TrySetResult(others));
        }
    }
}
