using System.Buffers;
using System.IO.Pipelines;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Transport;

/// <summary>
/// The output as the handler sees it. Counts what is written, turns the handler's completion into our FIN, and fails
/// loudly when it is used after the end.
/// </summary>
internal abstract partial class TransportOutput(PipeWriter writer, ITransportEvents events) : PipeWriter
{
    private static volatile Exception? _untold;

    private long _writtenBytes;
    private long _flushedBytes; // What was written when something was flushed last.
    private bool _memoryIsOut;
    private bool _endHasBegun;
    private volatile bool _completed;
    private volatile bool _sealed;

    /// <summary>Gets the bytes that the handler wrote, flushed or not.</summary>
    public long WrittenBytes => Volatile.Read(ref _writtenBytes);

    /// <summary>Gets whether the handler completed its output: nothing can be written any more.</summary>
    public bool IsCompleted => _completed;

    public override bool CanGetUnflushedBytes => Writer.CanGetUnflushedBytes;

    public override long UnflushedBytes => Writer.UnflushedBytes + (_goodbye?.WrittenCount ?? 0);

    /// <inheritdoc cref="ISendSink.SeesAcknowledgements"/>
    public abstract bool SeesAcknowledgements { get; }

    /// <inheritdoc cref="ISendSink.IsLookCostly"/>
    public virtual bool IsLookCostly => false;

    /// <inheritdoc cref="ISendSink.CanHalfClose"/>
    public abstract bool CanHalfClose { get; }

    /// <summary>Gets whether a flush is pending right now because the peer does not take what was written.</summary>
    public abstract bool IsWriteBlocked { get; }

    /// <summary>Gets whether bytes that the handler wrote have not gone on from here.</summary>
    public bool HasUnsent => IsWriteBlocked || WrittenBytes != SentBytes;

    /// <summary>Gets whether our FIN, once sent, is in the kernel: a transport below TLS may hold it.</summary>
    public virtual bool IsFinInKernel => true;

    /// <summary>Gets the bytes that went on from here: to the kernel, to TLS, or to the transport's buffer.</summary>
    public abstract long SentBytes { get; }

    /// <summary>Gets a task that ends when nothing below is touched any more. Foreign code may hold it.</summary>
    public virtual Task Ended => Task.CompletedTask;

    /// <summary>Gets what went wrong last, on any connection, while the one who closes was told of an error.</summary>
    /// <remarks>For a debugger. It is a bug of the library's.</remarks>
    public static Exception? Untold => _untold;

    protected PipeWriter Writer { get; private set; } = writer;

    protected ITransportEvents Events { get; } = events;

    /// <summary>Gets whether somebody may write to memory that was got. Settled once the end has begun.</summary>
    protected bool IsMemoryOut => Volatile.Read(ref _memoryIsOut);

    protected bool IsSealed => _sealed;

    /// <summary>Gets whether nothing is sent any more.</summary>
    protected virtual bool IsOver => false;

    public abstract DeliveryStatus GetDelivery();

    /// <summary>Takes the output away from the handler, which has returned.</summary>
    /// <param name="leftOver">What becomes of what was written.</param>
    public void Seal(LeftOver leftOver)
    {
        _sealed = true;
        _goodbye?.Close();
        Interleaving.Point();
        if (!Interlocked.Exchange(ref _endHasBegun, true))
        {
            End(leftOver, flushedOnly: leftOver == LeftOver.Abandon);
        }
        else
        {
            EndAgain(leftOver);
        }
    }

    /// <summary>Sends nothing after this; a blocked flush returns.</summary>
    /// <param name="resets">Whether the close of the socket is to send RST, whatever was set on it.</param>
    public abstract void Abort(bool resets);

    /// <summary>
    /// Sends memory of the caller's behind everything that was flushed, without a copy. Nothing may be written
    /// meanwhile, and <see cref="LentSend.WaitAsync"/> tells when it is over.
    /// </summary>
    /// <returns><see langword="false"/> where only what is written can be sent.</returns>
    public virtual bool TryLend(LentSend lent, in ReadOnlySequence<byte> bytes) => false;

    public override Memory<byte> GetMemory(int sizeHint = 0) => Lend().GetMemory(sizeHint);

    public override Span<byte> GetSpan(int sizeHint = 0) => Lend().GetSpan(sizeHint);

    public override void Advance(int bytes)
    {
        if (bytes == 0 && HasEnded)
        {
            return; // As on the server's own writer.
        }

        ThrowIfEnded();
        if (_goodbye is { } goodbye)
        {
            goodbye.Advance(bytes);
            return;
        }

        Writer.Advance(bytes);
        OnWritten(bytes);
        Volatile.Write(ref _memoryIsOut, false);
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        if (HasEnded)
        {
            return FlushEnded(cancellationToken);
        }

        BeginFlush();
        var written = WrittenBytes;
        if (written != _flushedBytes) // A flush of nothing answers nothing.
        {
            _flushedBytes = written;
            Events.Activity.OnFlushed();
        }

        return FlushCore(cancellationToken);
    }

    public override ValueTask<FlushResult> WriteAsync(
        ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
    {
        ThrowIfEnded();
        if (_goodbye is { } goodbye && !cancellationToken.IsCancellationRequested)
        {
            goodbye.Write(source.Span);
            return FlushAsync(cancellationToken);
        }

        BeginFlush();
        if (!source.IsEmpty && !cancellationToken.IsCancellationRequested)
        {
            Events.Activity.OnFlushed();
        }

        return WriteCore(source, cancellationToken);
    }

    public override void CancelPendingFlush() => Writer.CancelPendingFlush();

    [Obsolete("As in System.IO.Pipelines.")]
    public override void OnReaderCompleted(Action<Exception?, object?> callback, object? state) =>
        Writer.OnReaderCompleted(callback, state);

    public override void Complete(Exception? exception = null)
    {
        if (exception is null && !_sealed && !_completed)
        {
            TakeGoodbye(all: true);
        }

        Interleaving.Point();
        if (_sealed || Interlocked.Exchange(ref _endHasBegun, true))
        {
            return;
        }

        _completed = true;
        Interlocked.MemoryBarrier(); // Before the look at the memory that is out.
        var leftOver = exception is null ? LeftOver.Send : LeftOver.SendThenReset;
        try
        {
            if (exception is not null)
            {
                leftOver = Events.OnOutputFaulted(exception);
            }
            else
            {
                Events.OnOutputCompleted();
            }
        }
        finally
        {
            // A writer that failed did so in the middle of something: what it had not flushed is left out.
            End(leftOver, flushedOnly: exception is not null, exception);
        }
    }

    /// <summary>Counts bytes that are to be sent beside what is written.</summary>
    /// <returns><see langword="false"/> when the output has ended, or is busy with something else.</returns>
    protected bool TryBeginLending(long bytes)
    {
        if (_sealed || _completed || _goodbye is not null || Writer.UnflushedBytes > 0)
        {
            return false;
        }

        Volatile.Write(ref _writtenBytes, _writtenBytes + bytes);
        _flushedBytes = _writtenBytes;
        Events.Activity.OnFlushed();
        return true;
    }

    protected abstract ValueTask<FlushResult> FlushCore(CancellationToken cancellationToken);

    /// <summary>Writes and flushes. Tells what was written by <see cref="OnWritten"/>.</summary>
    protected abstract ValueTask<FlushResult> WriteCore(
        ReadOnlyMemory<byte> source, CancellationToken cancellationToken);

    /// <summary>Writes to a pipe and flushes.</summary>
    protected ValueTask<FlushResult> WriteToPipe(ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<FlushResult>(cancellationToken); // The bytes stay with the caller.
        }

        // A token that is cancelled from here on ends the wait only: the bytes are in the pipe, and are sent.
        var write = Writer.WriteAsync(source, CancellationToken.None);
        OnWritten(source.Length);
        return write.IsCompleted || !cancellationToken.CanBeCanceled ? write : Writer.FlushAsync(cancellationToken);
    }

    /// <summary>Bytes were written that did not pass <see cref="Advance"/>.</summary>
    protected void OnWritten(int bytes) => Volatile.Write(ref _writtenBytes, _writtenBytes + bytes);

    /// <summary>Nothing will be written any more. Called once.</summary>
    /// <param name="leftOver">How it ends.</param>
    /// <param name="flushedOnly">Whether what was written and not flushed is left out.</param>
    /// <param name="fault">By what the handler completed it.</param>
    protected abstract void End(LeftOver leftOver, bool flushedOnly, Exception? fault = null);

    /// <summary>The handler has returned, after it completed the output itself.</summary>
    protected virtual void EndAgain(LeftOver leftOver)
    {
    }

    /// <summary>Tells that sending failed. Never throws.</summary>
    protected void TellFault(Exception exception)
    {
        try
        {
            Events.OnFaulted(exception);
        }
        catch (Exception second)
        {
            // The thread may be the kernel's, where this would end the process. Nobody is left who could be told.
            _untold = new AggregateException(exception, second);
        }
    }

    // The mark and the end, or the goodbye, each set their own flag, with a full fence, before they look at the
    // other's. So either those know of the memory, or the writer gets none.
    private IBufferWriter<byte> Lend()
    {
        ThrowIfEnded();
        if (_goodbye is null)
        {
            Interleaving.Point();
            Interlocked.Exchange(ref _memoryIsOut, true);
            ThrowIfEnded();
        }

        return _goodbye as IBufferWriter<byte> ?? Writer;
    }
}
