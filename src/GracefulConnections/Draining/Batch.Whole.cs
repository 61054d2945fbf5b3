namespace GracefulConnections.Draining;

/// <content>What only the batch of the whole server does, and what operators ask.</content>
internal sealed partial class Batch
{
    private bool _isWhole;

    public int LeftCount_NeedsLock => IsOver_NeedsLock ? 0 : _members.Left.Count;

    /// <summary>
    /// This is the batch of the whole server. The timeout counts from now on, although nobody is asked before
    /// <see cref="Start"/>.
    /// </summary>
    /// <param name="startBy">When to start at the latest.</param>
    public void Begin_NeedsLock(TimeSpan startBy)
    {
        _isWhole = true;
        _begunAt = _context.Now;
        Reached_NeedsLock(DrainPhase.Draining);
        Wake_NeedsLock(startBy);
    }

    private void Reached_NeedsLock(DrainPhase phase)
    {
        if (_isWhole)
        {
            _context.Reports.Add(() => _context.Telemetry.Reached(phase));
        }
    }
}
