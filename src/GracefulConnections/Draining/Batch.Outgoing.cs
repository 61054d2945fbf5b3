namespace GracefulConnections.Draining;

/// <content>
/// The connections that the server made. They are asked when those have ended that the server accepted, because a
/// handler may need the connections that it made to the end.
/// </content>
internal sealed partial class Batch
{
    private readonly List<TrackedConnection> _waiting = []; // Outgoing ones whose turn came while others were left.
    private int _acceptedLeft;

    private bool HasDueOutgoing_NeedsLock => _waiting.Count > 0 && !HasAccepted_NeedsLock();

    // Those whose handlers wait for this batch do not count, because they end when it does.
    private bool HasAccepted_NeedsLock() =>
        _acceptedLeft > _callers.Count(static connection => !connection.IsOutgoing);

    private TrackedConnection[] GetAsked_NeedsLock(IEnumerable<TrackedConnection> due)
    {
        var asked = due.Where(_left.Contains).ToLookup(static connection => connection.IsOutgoing);
        _waiting.AddRange(asked[true]);
        if (!HasDueOutgoing_NeedsLock)
        {
            return [.. asked[false]];
        }

        TrackedConnection[] all = [.. asked[false], .. _waiting.Where(_left.Contains)];
        _waiting.Clear();
        return all;
    }

    /// <summary>Fewer are left than before.</summary>
    private void OnLess_NeedsLock()
    {
        EndIfEmpty_NeedsLock();
        if (HasDueOutgoing_NeedsLock)
        {
            Wake_NeedsLock(); // The timer drives, outside of the lock.
        }
    }
}
