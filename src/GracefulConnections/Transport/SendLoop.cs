using System.Buffers;
using System.Diagnostics;
using System.IO.Pipelines;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Transport;

/// <summary>
/// The output whose pipe is ours, and with it both completions and every block of memory from rent to return. A block
/// goes back to the pool when it was sent, and when nobody sends it and nobody can write to it any more. Whoever
/// flushes an answer sends it: there is no reader to wake up and no task for each connection. Where the server needs no
/// thread of the pool to send, because all may be blocked, whoever flushes always does.
/// </summary>
internal sealed partial class SendLoop(Pipe pipe, ISendSink sink, ITransportEvents events, bool sendsInline = false)
    : TransportOutput(pipe.Writer, events), IThreadPoolWorkItem
{
    // Nobody waits for the kernel, and most connections end there.
    private readonly TaskCompletionSource? _ended =
        sink is KernelQueue ? null : new(TaskCreationOptions.RunContinuationsAsynchronously);

    private PipeReader? _reader = pipe.Reader; // Until nothing is sent or written any more.
    private SendWork? _work;
    private SendState _state;
    private Feed _feed;
    private long _sentBytes;

    public override bool SeesAcknowledgements => sink.SeesAcknowledgements;

    public override bool IsLookCostly => sink.IsLookCostly;

    public override bool CanHalfClose => sink.CanHalfClose;

    public override bool IsFinInKernel => sink.HasPassedOn;

    public override bool IsWriteBlocked =>
        _work is { } work && (work.Guard?.IsPending == true || work.Lent?.IsDue == true);

    public override long SentBytes => Volatile.Read(ref _sentBytes);

    public override Task Ended => sink.IsKernel ? Task.CompletedTask : _ended!.Task;

    protected override bool IsOver => _state.Has(SendFlags.Finished) || sink.IsClosed;

    private SendWork Work => LazyInitializer.EnsureInitialized(ref _work);

    private long KeptBytes => _work?.KeptBytes ?? 0;

    public override DeliveryStatus GetDelivery()
    {
        // The flags first: behind them nothing is sent, so the number of sent bytes that is read next belongs to them.
        var (finSent, allSent) = (_state.Has(SendFlags.FinSent), _state.Has(SendFlags.AllSent));
        return sink.GetDelivery(WrittenBytes, SentBytes, finSent, allSent);
    }

    void IThreadPoolWorkItem.Execute() => Run();

    public override void Abort(bool resets)
    {
        _state.Set(SendFlags.Aborted);
        sink.Abort(resets);
        Signal();
    }

    public override bool TryLend(LentSend lent, in ReadOnlySequence<byte> bytes)
    {
        if (!sink.IsKernel || !TryBeginLending(bytes.Length))
        {
            return false;
        }

        Interleaving.Point();
        Work.Lent = lent;
        lent.Begin(bytes);
        Signal();
        if (_state.Has(SendFlags.Finished))
        {
            lent.End(isOver: true); // Whoever sent may have looked before.
        }

        return true;
    }

    /// <summary>Sends what was written and not flushed, without waiting. The writer may go on.</summary>
    public void Push()
    {
        Flush();
        Signal();
    }

    protected override ValueTask<FlushResult> FlushCore(CancellationToken cancellationToken) =>
        Send(Writer.FlushAsync(cancellationToken));

    protected override ValueTask<FlushResult> WriteCore(
        ReadOnlyMemory<byte> source, CancellationToken cancellationToken) =>
        Send(WriteToPipe(source, cancellationToken));

    protected override void End(LeftOver leftOver, bool flushedOnly, Exception? fault)
    {
        _state.Set(ToFlags(leftOver) | (IsMemoryOut ? SendFlags.KeepsMemory : SendFlags.None));
        if (!flushedOnly)
        {
            Flush();
        }

        _state.Set(SendFlags.Ending);
        Signal();
        ReleaseMemory();
    }

    protected override bool TryKeepMemory()
    {
        _state.Set(SendFlags.KeepsMemory);
        return true;
    }

    protected override void EndAgain(LeftOver leftOver)
    {
        _state.Set(ToFlags(leftOver));
        ReleaseMemory();
    }

    // Nobody waits for it: what it made readable is sent, and the pipe's state is the same for every flush.
    private void Flush()
    {
        if (Writer.UnflushedBytes > 0)
        {
            var flush = Writer.FlushAsync(CancellationToken.None);
            Debug.Assert(!flush.IsFaulted, "A pipe of ours failed.");
        }
    }

    private void Signal()
    {
        if (_state.Signal())
        {
            Run();
        }
    }

    private ValueTask<FlushResult> Send(ValueTask<FlushResult> flush)
    {
        var isFeed = _feed.OnFlush(WrittenBytes, Events.Activity.IsAnswer) && sink.IsKernel;
        var begins = _state.Signal(); // Else whoever sends sees it.
        if (begins && !sendsInline && (isFeed || sink.HoldsSmallSends(hasSent: SentBytes > 0)))
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
        else if (begins)
        {
            Run();
        }

        if (flush.IsCompletedSuccessfully)
        {
            // Taken here, because a pipe's own flush must not be awaited later, beside another one.
            try
            {
                var result = flush.GetAwaiter().GetResult();
                return new ValueTask<FlushResult>(IsOver
                    ? new FlushResult(result.IsCanceled, isCompleted: true) // The send that it began may have failed.
                    : result);
            }
            catch (OperationCanceledException exception)
            {
                return ValueTask.FromCanceled<FlushResult>(exception.CancellationToken);
            }
        }

        return flush.IsCompleted ? flush : LazyInitializer.EnsureInitialized(ref Work.Guard).Guard(flush);
    }

    // The thread may be the kernel's, or that of a handler which did nothing wrong. Whatever comes out of the sink or
    // of the one who is told costs this connection, and nobody else anything.
    private void Run(bool resumes = false)
    {
        try
        {
            if (resumes)
            {
                OnSent(_work!.Buffer, _work.Sending.GetAwaiter().GetResult());
            }

            while (Step())
            {
            }
        }
        catch (Exception exception)
        {
            Fail(exception);
        }
    }

    /// <returns>
    /// <see langword="false"/> when nothing is left, during a send, and at the end: another thread may be here then.
    /// </returns>
    private bool Step()
    {
        // Read first: whatever was flushed before the end is seen below.
        var seen = _state.Read();
        if (SendState.FlagsOf(seen).HasFlag(SendFlags.Aborted))
        {
            Finish();
            return false;
        }

        Interleaving.Point();
        if (_reader!.TryRead(out var result))
        {
            var buffer = result.Buffer;
            var unsent = KeptBytes == 0 ? buffer : buffer.Slice(KeptBytes);
            if (!unsent.IsEmpty)
            {
                return TryTake(buffer, sink.SendAsync(unsent));
            }

            _reader.AdvanceTo(buffer.Start, buffer.End);
        }

        if (_work?.Lent is { IsDue: true } lent)
        {
            return TryTake(default, sink.SendAsync(lent.Unsent));
        }

        if (Goodbye?.PeekApart() is { IsEmpty: false } apart)
        {
            return TryTake(default, sink.SendAsync(apart));
        }

        if (SendState.FlagsOf(seen).HasFlag(SendFlags.Ending))
        {
            _ = SendEndAsync(); // Never faults.
            return false;
        }

        return !_state.TryLeave(seen);
    }

    /// <param name="buffer">The reader's, or an empty one for what is sent beside it.</param>
    /// <param name="sending">The send of it.</param>
    private bool TryTake(in ReadOnlySequence<byte> buffer, ValueTask<long> sending)
    {
        if (sending.IsCompleted)
        {
            OnSent(buffer, sending.GetAwaiter().GetResult());
            return true;
        }

        var work = Work;
        (work.Buffer, work.Sending) = (buffer, sending);
        work.Resume ??= () => Run(resumes: true);
        sending.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(work.Resume); // It goes on, perhaps by now.
        return false;
    }

    // Gives the blocks back that were sent, unless somebody may write to them.
    private void OnSent(in ReadOnlySequence<byte> buffer, long bytes)
    {
        Volatile.Write(ref _sentBytes, _sentBytes + bytes);
        if (buffer.IsEmpty)
        {
            if (_work?.Lent is not { IsDue: true } lent)
            {
                Goodbye!.TakeApart(bytes);
            }
            else if (lent.Unsent.Length == bytes)
            {
                lent.End(isOver: false);
            }
            else
            {
                lent.Unsent = lent.Unsent.Slice(bytes);
            }

            return;
        }

        var position = buffer.GetPosition(KeptBytes + bytes);
        if (_state.Has(SendFlags.KeepsMemory))
        {
            Work.KeptBytes += bytes;
            _reader!.AdvanceTo(buffer.Start, position);
        }
        else
        {
            _reader!.AdvanceTo(position);
        }
    }
}
