namespace GracefulConnections;

/// <summary>What all relays with these counters have done so far. Thread-safe, and live.</summary>
public sealed class RelayCounters
{
    private long _started;
    private long _ended;
    private long _bytesToUpstream;
    private long _bytesFromUpstream;
    private long _resets;

    /// <summary>Gets the relays that run now.</summary>
    public long Active
    {
        get
        {
            var ended = Interlocked.Read(ref _ended); // First: a relay ends after it began.
            return Interlocked.Read(ref _started) - ended;
        }
    }

    /// <summary>Gets the relays that have begun.</summary>
    public long Total => Interlocked.Read(ref _started);

    /// <summary>Gets the bytes that the upstreams' kernels took.</summary>
    public long BytesToUpstream => Interlocked.Read(ref _bytesToUpstream);

    /// <summary>Gets the bytes that the peers' kernels took.</summary>
    public long BytesFromUpstream => Interlocked.Read(ref _bytesFromUpstream);

    /// <summary>Gets the relays that did not end by FIN both ways.</summary>
    public long Resets => Interlocked.Read(ref _resets);

    internal void Start() => Interlocked.Increment(ref _started);

    internal void Add(bool toUpstream, long bytes) =>
        Interlocked.Add(ref toUpstream ? ref _bytesToUpstream : ref _bytesFromUpstream, bytes);

    internal void End(bool isReset)
    {
        if (isReset)
        {
            Interlocked.Increment(ref _resets);
        }

        Interlocked.Increment(ref _ended);
    }
}
