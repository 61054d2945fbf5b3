namespace GracefulConnections.Transport;

/// <summary>When bytes went either way on a connection that a drain knows: timestamps of its clock, 0 for never.</summary>
internal sealed class Activity(TimeProvider clock)
{
    private long _receivedAt;
    private long _busySince;
    private long _flushedAt;

    /// <summary>Gets when the connection came.</summary>
    public long StartedAt { get; } = clock.GetTimestamp();

    /// <summary>Gets when the bytes were read that the handler has in hand.</summary>
    public long BusySince => Volatile.Read(ref _busySince);

    /// <summary>Gets when bytes were last read or flushed.</summary>
    public long LastByteAt => Math.Max(Volatile.Read(ref _receivedAt), Volatile.Read(ref _flushedAt));

    /// <param name="isFirst">Whether the handler had nothing in hand before.</param>
    public void OnReceived(bool isFirst)
    {
        var now = clock.GetTimestamp();
        Volatile.Write(ref _receivedAt, now);
        if (isFirst)
        {
            Volatile.Write(ref _busySince, now);
        }
    }

    public void OnFlushed() => Volatile.Write(ref _flushedAt, clock.GetTimestamp());
}
