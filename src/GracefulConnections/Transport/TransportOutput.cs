using System.IO.Pipelines;

namespace GracefulConnections.Transport;

/// <summary>
/// The output as the handler sees it. Counts what is written, turns the handler's completion into our FIN, and fails loudly when it is used after the end.
/// </summary>
internal abstract class TransportOutput(PipeWriter writer, ITransportEvents events, Activity? activity) : PipeWriter
{
    private static readonly PipeWriter EndedWriter = CreateEndedWriter();

    private long _writtenBytes;
    private volatile bool _completed;
    private volatile bool _sealed;

    /// <summary>Gets the bytes that the handler wrote, flushed or not.</summary>
    public long WrittenBytes => Volatile.Read(ref _writtenBytes);

    /// <summary>Gets whether the handler completed its output: nothing can be written any more.</summary>
    public bool IsCompleted => _completed;

    public override bool CanGetUnflushedBytes => Writer.CanGetUnflushedBytes;

    public override long UnflushedBytes => Writer.UnflushedBytes;

    /// <summary>Gets whether the peer's acknowledgements can be seen.</summary>
    public abstract bool SeesAcknowledgements { get; }

    /// <summary>Gets whether the end of the output reaches the peer as FIN while we still read.</summary>
    public abstract bool CanHalfClose { get; }

    /// <summary>Gets whether the handler is held up in a flush because the peer does not take what was written.</summary>
    public abstract bool IsWriteBlocked { get; }

    /// <summary>Gets the bytes that went on from here: to the kernel, or to the transport's own buffer where there is no socket.</summary>
    public abstract long SentBytes { get; }

    /// <summary>Gets a task that completes when the transport's own writer will not be touched any more. Never faults.</summary>
    public virtual Task Ended => Task.CompletedTask;

    protected PipeWriter Writer { get; private set; } = writer;

    protected ITransportEvents Events { get; } = events;

    public abstract DeliveryStatus GetDelivery();

    /// <summary>Takes the output away from the handler, which has returned: sends the rest, then our FIN.</summary>
    /// <param name="leftOver">What to do with bytes that were written and not flushed.</param>
    public void Seal(LeftOver leftOver)
    {
        _sealed = true;
        if (!_completed)
        {
            End(leftOver);
        }
        else
        {
            ReleaseMemory();
        }
    }

    /// <summary>Makes the abort that follows send RST. Nothing is sent after this; a blocked flush returns.</summary>
    public abstract void Abort();

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        ThrowIfEnded();
        return Writer.GetMemory(sizeHint);
    }

    public override Span<byte> GetSpan(int sizeHint = 0)
    {
        ThrowIfEnded();
        return Writer.GetSpan(sizeHint);
    }

    public override void Advance(int bytes)
    {
        ThrowIfEnded();
        Writer.Advance(bytes);
        Volatile.Write(ref _writtenBytes, _writtenBytes + bytes);
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_sealed, typeof(PipeWriter));
        if (_completed)
        {
            return default; // Nothing is left to flush, and the writer is busy with the end of the output.
        }

        activity?.OnFlushed();
        OnFlushing();
        return OnFlushed(Writer.FlushAsync(cancellationToken));
    }

    public override ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
    {
        ThrowIfEnded();
        activity?.OnFlushed();
        OnFlushing();
        var write = Writer.WriteAsync(source, cancellationToken);
        if (!write.IsCanceled) // A token that was cancelled before leaves the bytes with the caller.
        {
            Volatile.Write(ref _writtenBytes, _writtenBytes + source.Length);
        }

        return OnFlushed(write);
    }

    public override void CancelPendingFlush() => Writer.CancelPendingFlush();

    public override void Complete(Exception? exception = null)
    {
        if (_completed || _sealed)
        {
            return;
        }

        _completed = true;
        if (exception is not null)
        {
            Events.OnOutputFaulted();
            Abort();
            End(LeftOver.Drop); // Nothing more is sent after an abort; this gives the memory back.
            return;
        }

        Events.OnOutputCompleted();
        End(LeftOver.Send);
    }

    /// <summary>Something is about to be flushed.</summary>
    protected virtual void OnFlushing()
    {
    }

    /// <summary>Something was flushed: sees to it that it leaves.</summary>
    protected abstract ValueTask<FlushResult> OnFlushed(ValueTask<FlushResult> flush);

    /// <summary>Nothing will be written any more: sends the rest, then our FIN.</summary>
    protected abstract void End(LeftOver leftOver);

    /// <summary>The handler has returned: gives back what is not needed to the end of the connection.</summary>
    protected virtual void ReleaseMemory()
    {
    }

    /// <summary>Lets go of the writer once it is completed and nobody may write: a connection may linger for long, and its buffers' owner would be most of what it costs.</summary>
    protected void ReleaseWriter()
    {
        if (_sealed)
        {
            Writer = EndedWriter; // Fails in the same way, for a handler that is writing at this very moment.
        }
    }

    private static PipeWriter CreateEndedWriter()
    {
        var pipe = new Pipe();
        pipe.Writer.Complete();
        pipe.Reader.Complete();
        return pipe.Writer;
    }

    private void ThrowIfEnded()
    {
        if (_sealed)
        {
            throw new ObjectDisposedException(nameof(PipeWriter), "The connection has ended: its handler returned, and what is written now can no longer be sent.");
        }

        if (_completed)
        {
            throw new InvalidOperationException("The output was completed, and our FIN follows what was written before. Write everything before Output.Complete().");
        }
    }
}
