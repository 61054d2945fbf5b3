using System.Buffers;
using System.Diagnostics;
using System.IO.Pipelines;

namespace GracefulConnections.Transport;

/// <summary>
/// An output whose pipe is ours, and with it every block of memory from rent to return. A block goes back to the pool
/// when it was sent, and when nobody sends it and nobody can write to it any more. Whoever flushes sends: there is no
/// reader to wake up and no task for each connection.
/// </summary>
internal abstract class OwnedOutput(Pipe pipe, ITransportEvents events, Activity activity)
    : TransportOutput(pipe.Writer, events, activity)
{
    private PipeReader? _reader = pipe.Reader;
    private FlushGuard? _guard;
    private SequencePosition _start;

    // Zero: nobody sends. Otherwise somebody does, and looks again before leaving when the number has changed. Never
    // zero again after the end.
    private int _signals;
    private int _finished;
    private long _sentBytes;
    private long _keptBytes;
    private volatile bool _ending;
    private volatile bool _endsWithReset;
    private volatile bool _keepsMemory;
    private volatile bool _aborted;
    private volatile bool _finSent;
    private volatile bool _allSent;
    private volatile Exception? _untold;

    /// <summary>What the sender finds when it looks for more.</summary>
    protected enum Next
    {
        /// <summary>Nothing for now.</summary>
        Nothing,

        /// <summary>Bytes to send.</summary>
        Bytes,

        /// <summary>Everything was sent, and nothing more will be written.</summary>
        End,

        /// <summary>The connection was aborted.</summary>
        Aborted,
    }

    public override bool CanHalfClose => true;

    public override long SentBytes => Volatile.Read(ref _sentBytes);

    public override bool IsWriteBlocked => _guard?.IsPending == true;

    /// <summary>Gets what went wrong while the one who closes was told of an error; for a debugger.</summary>
    public Exception? Untold => _untold;

    /// <summary>Gets whether our FIN, or what stands for it, was sent. Read it before the bytes.</summary>
    protected bool IsFinSent => _finSent;

    /// <summary>Gets whether everything was sent and no FIN follows. Read it before the bytes.</summary>
    protected bool IsAllSent => _allSent;

    protected bool IsAborted => _aborted;

    protected bool EndsWithReset => _endsWithReset;

    public override void Abort(bool resets)
    {
        _aborted = true;
        Signal();
    }

    protected sealed override ValueTask<FlushResult> FlushCore(CancellationToken cancellationToken) =>
        Send(Writer.FlushAsync(cancellationToken));

    protected sealed override ValueTask<FlushResult> WriteCore(
        ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        var write = Writer.WriteAsync(source, cancellationToken);
        if (!write.IsCanceled) // A token that was cancelled before leaves the bytes with the caller.
        {
            OnWritten(source.Length);
        }

        return Send(write);
    }

    protected sealed override void End(LeftOver leftOver, bool flushedOnly)
    {
        if (IsMemoryOut)
        {
            _keepsMemory = true;
        }

        NoteEnd(leftOver);
        if (!flushedOnly && Writer.UnflushedBytes > 0)
        {
            Forget(Writer.FlushAsync(CancellationToken.None));
        }

        _ending = true;
        Signal();
        ReleaseMemory();
    }

    protected sealed override void EndAgain(LeftOver leftOver)
    {
        NoteEnd(leftOver);
        ReleaseMemory();
    }

    /// <summary>Sends until nothing is left, or until somebody else goes on. Called by one thread at a time.</summary>
    protected abstract void Send();

    /// <summary>Says that nothing is left. Only the one who sends may call it.</summary>
    /// <param name="seen">What <see cref="Signals"/> was before the last look.</param>
    /// <returns><see langword="true"/> when somebody has signalled since, so that the caller must look again.</returns>
    protected bool HasMore(int seen) => Interlocked.Add(ref _signals, -seen) != 0;

    /// <summary>Gets how often something has happened since nobody sent. Read it before a look.</summary>
    protected int Signals() => Volatile.Read(ref _signals);

    /// <summary>Looks for what is to be done next.</summary>
    protected Next Look(out ReadOnlySequence<byte> buffer)
    {
        buffer = default;
        var ending = _ending; // Read first: whatever was flushed before it was set is seen below.
        if (_aborted || _reader is not { } reader)
        {
            return Next.Aborted;
        }

        if (!reader.TryRead(out var result))
        {
            return ending ? Next.End : Next.Nothing;
        }

        _start = result.Buffer.Start;
        buffer = _keptBytes == 0 ? result.Buffer : result.Buffer.Slice(_keptBytes);
        if (!buffer.IsEmpty)
        {
            return Next.Bytes;
        }

        reader.AdvanceTo(_start, result.Buffer.End);
        return ending ? Next.End : Next.Nothing;
    }

    /// <summary>Notes what was sent, and gives its blocks back unless somebody may write to them.</summary>
    protected void OnSent(SequencePosition position, long bytes)
    {
        Volatile.Write(ref _sentBytes, _sentBytes + bytes);
        if (_keepsMemory)
        {
            _keptBytes += bytes;
            _reader!.AdvanceTo(_start, position);
        }
        else
        {
            _reader!.AdvanceTo(position);
        }
    }

    /// <summary>Notes bytes of a send that failed.</summary>
    protected void OnPartSent(long bytes) => Volatile.Write(ref _sentBytes, _sentBytes + bytes);

    /// <summary>Our FIN was sent: the end.</summary>
    protected void FinishWithFin()
    {
        _finSent = true;
        Finish();
        Events.OnFinSent();
    }

    /// <summary>Everything was sent, and an abort is to come: the end.</summary>
    protected void FinishWithoutFin()
    {
        _allSent = true;
        Finish();
        Events.OnAllSent();
    }

    /// <summary>Ends the output because of an error. Never throws.</summary>
    protected void Fail(Exception exception)
    {
        try
        {
            // Told first: the flush that returns next lets the handler return, and the first cause wins.
            Events.OnFaulted(exception);
        }
        catch (Exception second)
        {
            // The thread may be the kernel's, where this would end the process. Nobody is left who could be told.
            _untold = new AggregateException(exception, second);
        }

        Finish();
    }

    /// <summary>Nothing is sent any more. A blocked flush returns, and what was not sent is thrown away.</summary>
    protected void Finish()
    {
        Debug.Assert(_signals > 0, "Only the one who sends may end the sending.");
        if (Interlocked.Exchange(ref _finished, 1) == 0)
        {
            _reader!.Complete();
            ReleaseMemory();
        }
    }

    protected void Signal()
    {
        if (Interlocked.Increment(ref _signals) == 1)
        {
            Send();
        }
    }

    // Nobody waits for it: what it made readable is sent, and the pipe's state is the same for every flush.
    private static void Forget(ValueTask<FlushResult> flush) => Debug.Assert(!flush.IsFaulted, "A pipe of ours failed.");

    // Only ever sets: the handler's own end and the one behind its return may come at the same time.
    private void NoteEnd(LeftOver leftOver)
    {
        switch (leftOver)
        {
            case LeftOver.SendThenReset:
                _endsWithReset = true;
                break;

            case LeftOver.Abandon:
                _keepsMemory = true;
                break;
        }
    }

    private ValueTask<FlushResult> Send(ValueTask<FlushResult> flush)
    {
        Signal();
        if (flush.IsCompletedSuccessfully)
        {
            // Taken here, because a pipe's own flush must not be awaited later, beside another one.
            try
            {
                return new ValueTask<FlushResult>(flush.GetAwaiter().GetResult());
            }
            catch (OperationCanceledException exception)
            {
                return ValueTask.FromCanceled<FlushResult>(exception.CancellationToken);
            }
        }

        return flush.IsCompleted ? flush : (_guard ??= new FlushGuard()).Guard(flush);
    }

    // Whichever of the two ends comes last gives the memory back. Never while a send reads from it, or while a writer
    // may still write to it: then the garbage collector has it.
    private void ReleaseMemory()
    {
        if (!_ending || Volatile.Read(ref _finished) == 0)
        {
            return;
        }

        if (!_keepsMemory)
        {
            Writer.Complete();
        }

        if (IsSealed)
        {
            _reader = null; // Whoever sends has ended.
            ReleaseWriter();
        }
    }
}
