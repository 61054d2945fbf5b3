namespace GracefulConnections.Transport;

/// <summary>
/// Tells a handler that flushes one small message after the other, and reads nothing in between. It writes the next
/// ones while the kernel takes the first, and a system call for each would be most of the work.
/// </summary>
internal struct Feed
{
    /// <summary>A flush of more is worth a system call of its own.</summary>
    public const int SmallBytes = 4096;

    /// <summary>So many a reply may consist of, or a handshake, without being a feed.</summary>
    public const int ShortRow = 3;

    private int _written; // Only the difference counts.
    private int _row;

    /// <summary>Notes a flush.</summary>
    /// <param name="written">What was written up to now.</param>
    /// <param name="isAnswer">Whether the handler was handed something to read since the flush before.</param>
    /// <returns>Whether it is one of a feed.</returns>
    public bool OnFlush(long written, bool isAnswer)
    {
        var bytes = unchecked((int)written - _written);
        _written = unchecked((int)written);
        _row = isAnswer || (uint)bytes > SmallBytes ? 0 : Math.Min(_row + 1, ShortRow + 1);
        return _row > ShortRow;
    }
}
