namespace GracefulConnections.Transport;

/// <summary>When bytes went either way on a connection, and how its handler takes and answers them.</summary>
/// <remarks>Each connection has one, kept by the one who closes it, so it is no object of its own.</remarks>
/// <param name="clock">What time it is; see <see cref="CoarseTime"/>.</param>
internal struct Activity(TimeProvider clock)
{
    private readonly TimeProvider _clock = CoarseTime.Of(clock);
    private long _receivedAt;
    private long _busySince;
    private long _flushedAt;
    private volatile bool _wasHandedBytes;
    private volatile bool _isUnanswered;
    private volatile bool _isAnswer;
    private volatile bool _isDuplex;
    private volatile bool _isReadPending;

    /// <summary>Gets what tells the time. The times kept here are its timestamps, and 0 stands for never.</summary>
    public readonly TimeProvider Clock => _clock;

    /// <summary>Gets when the connection came.</summary>
    public long StartedAt { get; } = CoarseTime.Of(clock).GetTimestamp();

    /// <summary>Gets when the bytes were read that the handler has in hand.</summary>
    public long BusySince => Volatile.Read(ref _busySince);

    /// <summary>Gets when bytes were last read or flushed.</summary>
    public long LastByteAt => Math.Max(Volatile.Read(ref _receivedAt), Volatile.Read(ref _flushedAt));

    /// <summary>Gets how long the peer has sent nothing that was read.</summary>
    public TimeSpan PeerSilence => SilenceSince(Volatile.Read(ref _receivedAt));

    /// <summary>Gets how long the handler has flushed nothing.</summary>
    public TimeSpan HandlerSilence => SilenceSince(Volatile.Read(ref _flushedAt));

    /// <summary>Gets whether a read handed the handler bytes after its last flush.</summary>
    public bool IsUnanswered => _isUnanswered;

    /// <summary>Gets whether a read had handed the handler bytes between its last flush and the one before.</summary>
    public bool IsAnswer => _isAnswer;

    /// <summary>Sets whether a read of the handler's is pending.</summary>
    public bool IsReadPending
    {
        set => _isReadPending = value;
    }

    /// <summary>Returns how the handler has behaved so far.</summary>
    public Habit GetHabit(bool usesScopes, bool isOutsideTls) =>
        new(_wasHandedBytes, _isUnanswered, _isDuplex, usesScopes, isOutsideTls);

    /// <summary>Notes that bytes came which no read had handed out before.</summary>
    /// <param name="isFirst">Whether the handler had nothing in hand before.</param>
    public void OnReceived(bool isFirst)
    {
        var now = _clock.GetTimestamp();
        Volatile.Write(ref _receivedAt, now);
        if (isFirst)
        {
            Volatile.Write(ref _busySince, now);
        }
    }

    /// <summary>Notes that a read is about to hand the handler bytes which it has not seen before.</summary>
    public void OnHanded()
    {
        _wasHandedBytes = true;
        _isUnanswered = true;
    }

    /// <summary>Notes that the handler flushes bytes.</summary>
    public void OnFlushed()
    {
        _isDuplex |= _isReadPending;
        _isAnswer = _isUnanswered;
        _isUnanswered = false;
        Volatile.Write(ref _flushedAt, _clock.GetTimestamp());
    }

    private TimeSpan SilenceSince(long timestamp) =>
        _clock.GetElapsedTime(timestamp == 0 ? StartedAt : timestamp);
}
