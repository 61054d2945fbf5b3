namespace TcpProxy;

/// <summary>What the proxy has done so far.</summary>
internal sealed class Counters
{
    private long _opened;
    private long _closed;
    private long _bytesToUpstream;
    private long _bytesToDownstream;
    private long _resets;
    private long _connectFailures;

    public void Opened() => Interlocked.Increment(ref _opened);

    public void Closed() => Interlocked.Increment(ref _closed);

    public void AddToUpstream(long bytes) => Interlocked.Add(ref _bytesToUpstream, bytes);

    public void AddToDownstream(long bytes) => Interlocked.Add(ref _bytesToDownstream, bytes);

    /// <summary>Counts a reset that was passed on.</summary>
    public void AddReset() => Interlocked.Increment(ref _resets);

    public void ConnectFailed() => Interlocked.Increment(ref _connectFailures);

    public CounterValues Read()
    {
        var closed = Volatile.Read(ref _closed); // Before those that were opened, so that the difference is never negative.
        var opened = Volatile.Read(ref _opened);
        return new CounterValues(
            opened - closed, opened, Volatile.Read(ref _bytesToUpstream), Volatile.Read(ref _bytesToDownstream), Volatile.Read(ref _resets), Volatile.Read(ref _connectFailures));
    }
}
