using System.Buffers;
using System.Diagnostics;
using System.IO.Pipelines;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Transport;

/// <summary>
/// The output whose pipe is ours, and with it both completions and every block of memory from rent to return. A block
/// goes back to the pool when it was sent, and when nobody sends it and nobody can write to it any more. Whoever
/// flushes sends: there is no reader to wake up and no task for each connection.
/// </summary>
internal sealed partial class SendLoop(Pipe pipe, ISendSink sink, ITransportEvents events)
    : TransportOutput(pipe.Writer, events)
{
    // Nobody waits for the kernel, and most connections end there.
    private readonly TaskCompletionSource? _ended =
        sink is KernelQueue ? null : new(TaskCreationOptions.RunContinuationsAsynchronously);

    private SendWork? _work = new(pipe.Reader);
    private SendState _state;
    private long _sentBytes;

    public override bool SeesAcknowledgements => sink.SeesAcknowledgements;

    public override bool CanHalfClose => sink.CanHalfClose;

    public override bool IsFinInKernel => sink.IsKernel;

    public override bool IsWriteBlocked =>
        _work is { } work && (work.Guard?.IsPending == true || work.Lent?.IsDue == true);

    public override long SentBytes => Volatile.Read(ref _sentBytes);

    public override Task Ended => sink.IsKernel ? Task.CompletedTask : _ended!.Task;

    public override DeliveryStatus GetDelivery()
    {
        // The flags first: behind them nothing is sent, so the number of sent bytes that is read next belongs to them.
        var (finSent, allSent) = (_state.Has(SendFlags.FinSent), _state.Has(SendFlags.AllSent));
        return sink.GetDelivery(WrittenBytes, SentBytes, finSent, allSent);
    }

    public override DeliveryStatus GetFirstDelivery() => sink.GetFirstDelivery(WrittenBytes, SentBytes);

    public override void Abort(bool resets)
    {
        _state.Set(SendFlags.Aborted);
        sink.Abort(resets);
        Signal();
    }

    public override bool TryLend(LentSend lent, in ReadOnlySequence<byte> bytes)
    {
        if (!sink.IsKernel || _work is not { } work || !TryBeginLending(bytes.Length))
        {
            return false;
        }

        work.Lent = lent;
        lent.Begin(bytes);
        Signal();
        if (_state.Has(SendFlags.Finished))
        {
            lent.End(isOver: true); // Whoever sent may have looked before.
        }

        return true;
    }

    protected override ValueTask<FlushResult> FlushCore(CancellationToken cancellationToken) =>
        Send(Writer.FlushAsync(cancellationToken));

    protected override ValueTask<FlushResult> WriteCore(
        ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        var write = Writer.WriteAsync(source, cancellationToken);
        if (!write.IsCanceled) // A token that was cancelled before leaves the bytes with the caller.
        {
            OnWritten(source.Length);
        }

        return Send(write);
    }

    protected override void End(LeftOver leftOver, bool flushedOnly)
    {
        _state.Set(ToFlags(leftOver) | (IsMemoryOut ? SendFlags.KeepsMemory : SendFlags.None));
        if (!flushedOnly && Writer.UnflushedBytes > 0)
        {
            // Nobody waits for it: what it made readable is sent, and the pipe's state is the same for every flush.
            var flush = Writer.FlushAsync(CancellationToken.None);
            Debug.Assert(!flush.IsFaulted, "A pipe of ours failed.");
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

    private static SendFlags ToFlags(LeftOver leftOver) =>
        leftOver == LeftOver.SendThenReset ? SendFlags.EndsByReset
        : leftOver == LeftOver.Abandon ? SendFlags.KeepsMemory
        : SendFlags.None;

    private void Signal()
    {
        if (_state.Signal())
        {
            Run();
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

        return !flush.IsCompleted && _work is { } work
            ? LazyInitializer.EnsureInitialized(ref work.Guard).Guard(flush)
            : flush;
    }

    // The thread may be the kernel's, or that of a handler which did nothing wrong. Whatever comes out of the sink or
    // of the one who is told costs this connection, and nobody else anything.
    private void Run(bool resumes = false)
    {
        try
        {
            if (resumes)
            {
                OnSent(_work!.Sending.GetAwaiter().GetResult());
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
        var work = _work!;
        if (work.Reader.TryRead(out var result))
        {
            work.Buffer = result.Buffer;
            var unsent = work.KeptBytes == 0 ? work.Buffer : work.Buffer.Slice(work.KeptBytes);
            if (!unsent.IsEmpty)
            {
                return TryTake(work, sink.SendAsync(unsent));
            }

            work.Reader.AdvanceTo(work.Buffer.Start, work.Buffer.End);
        }

        if (work.Lent is { IsDue: true } lent)
        {
            work.Buffer = default;
            return TryTake(work, sink.SendAsync(lent.Unsent));
        }

        if (Goodbye?.PeekApart() is { IsEmpty: false } apart)
        {
            work.Buffer = default;
            return TryTake(work, sink.SendAsync(apart));
        }

        if (SendState.FlagsOf(seen).HasFlag(SendFlags.Ending))
        {
            _ = SendEndAsync(); // Never faults.
            return false;
        }

        return !_state.TryLeave(seen);
    }

    private bool TryTake(SendWork work, ValueTask<long> sending)
    {
        if (sending.IsCompleted)
        {
            OnSent(sending.GetAwaiter().GetResult());
            return true;
        }

        work.Sending = sending;
        work.Resume ??= () => Run(resumes: true);
        sending.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(work.Resume); // It goes on, perhaps by now.
        return false;
    }

    // Gives the blocks back that were sent, unless somebody may write to them.
    private void OnSent(long bytes)
    {
        Volatile.Write(ref _sentBytes, _sentBytes + bytes);
        var work = _work!;
        if (work.Buffer.IsEmpty)
        {
            if (work.Lent is not { IsDue: true } lent)
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

        var position = work.Buffer.GetPosition(work.KeptBytes + bytes);
        if (_state.Has(SendFlags.KeepsMemory))
        {
            work.KeptBytes += bytes;
            work.Reader.AdvanceTo(work.Buffer.Start, position);
        }
        else
        {
            work.Reader.AdvanceTo(position);
        }
    }
}
