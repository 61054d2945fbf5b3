namespace GracefulConnections.Transport;

/// <content>The handler's last message, which is said when the handler has returned.</content>
internal abstract partial class TransportOutput
{
    private volatile GoodbyeMemory? _goodbye;

    protected GoodbyeMemory? Goodbye => _goodbye;

    /// <summary>The handler's last message follows. What it has not flushed by the end is left out.</summary>
    /// <exception cref="InvalidOperationException">
    /// A writer may still write to a block that it got, and the block is not ours.
    /// </exception>
    public void BeginGoodbye()
    {
        var goodbye = new GoodbyeMemory();
        goodbye.Begin();
        _goodbye = goodbye;
        Interlocked.MemoryBarrier(); // Before the look at the memory that is out.
        if (IsMemoryOut && !TryKeepMemory())
        {
            _goodbye = null;
            throw new InvalidOperationException(
                "A writer of the handler's has not given back the memory that it got from this output, so the goodbye "
                + "is not said. End every write before the handler returns.");
        }
    }

    /// <summary>The last message was said: what was not flushed of it belongs to it.</summary>
    public void EndGoodbye() => TakeGoodbye(all: true);

    /// <summary>The last message was not said in time. A flush of it returns.</summary>
    public virtual void GiveUpGoodbye() => CancelPendingFlush();

    /// <summary>
    /// Keeps a block that a writer got, whatever is flushed from now on, and sends the goodbye apart from it.
    /// </summary>
    protected virtual bool TryKeepMemory() => false;

    // A flush takes back the memory that its writer got. During a goodbye somebody else may have it.
    private void BeginFlush()
    {
        if (_goodbye is null)
        {
            Volatile.Write(ref _memoryIsOut, false);
        }

        TakeGoodbye(all: false);
    }

    private void TakeGoodbye(bool all)
    {
        if (!_completed)
        {
            _goodbye?.MoveTo(IsMemoryOut ? null : Writer, all, ref _writtenBytes);
        }
    }
}
