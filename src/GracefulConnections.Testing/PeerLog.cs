namespace GracefulConnections.Testing;

/// <summary>Notes what a peer sees, by its clock.</summary>
internal sealed class PeerLog(TimeProvider time)
{
    private readonly Lock _lock = new();
    private readonly long _connectedAt = time.GetTimestamp();
    private PeerReport _report = new();

    public PeerReport Report
    {
        get
        {
            lock (_lock)
            {
                return _report;
            }
        }
    }

    public void OnReceived(long bytes)
    {
        var now = time.GetElapsedTime(_connectedAt);
        lock (_lock)
        {
            _report = _report with
            {
                ReceivedBytes = _report.ReceivedBytes + bytes,
                FirstByteAfter = _report.FirstByteAfter ?? now,
                LastByteAfter = now,
            };
        }
    }

    /// <summary>Only the first end counts.</summary>
    public void OnEnded(PeerSaw end)
    {
        var now = time.GetElapsedTime(_connectedAt);
        lock (_lock)
        {
            _report = _report.End is null ? _report with { End = end, EndAfter = now } : _report;
        }
    }
}
