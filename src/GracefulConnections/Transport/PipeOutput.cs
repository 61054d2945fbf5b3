using System.IO.Pipelines;
using GracefulConnections.Diagnostics;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Transport;

/// <summary>
/// The output of a transport without a socket: the end of the transport's own writer stands for our FIN. Or that of a
/// connection which is left to the server, because another middleware wraps its transport or has written to it: that
/// writer is never completed, and the end reaches the peer when the server closes.
/// </summary>
internal sealed class PipeOutput(
    PipeWriter writer, WrappedDelivery? wrapped, bool isLeftToServer, ITransportEvents events)
    : TransportOutput(writer, events)
{
    private const string StreamWriter = "System.IO.Pipelines.StreamPipeWriter"; // What PipeWriter.Create makes.

    // A pipe, and what wraps one, takes bytes in order while its flush is pending, and only must not be awaited twice.
    // The writer of a stream would mix the bytes of two flushes, and loses what is written meanwhile.
    private readonly bool _isStream = writer.GetType().FullName == StreamWriter;
    private long _sentBytes;
    private int _awaitsAbort;
    private volatile bool _aborted;
    private volatile bool _finSent;
    private volatile bool _allSent;
    private volatile bool _cutOff;
    private Task _ended = Task.CompletedTask;

    protected override bool IsOver => _aborted || _cutOff || _finSent;

    // First come, first served. Its wait handle is never made: nothing to dispose.
    private SemaphoreSlim Turn { get; } = new(1, 1);

    public override bool SeesAcknowledgements => wrapped?.SeesAcknowledgements == true;

    public override bool CanHalfClose => !isLeftToServer;

    public override long SentBytes => Volatile.Read(ref _sentBytes);

    public override bool IsWriteBlocked => Turn.CurrentCount == 0;

    public override Task Ended => _ended;

    public override DeliveryStatus GetDelivery()
    {
        var (finSent, allSent) = (_finSent, _allSent);
        return _cutOff
            ? new DeliveryStatus(SentBytes, IsDelivered: false, IsReset: true, null)
            : WrappedDelivery.Get(wrapped, WrittenBytes, SentBytes, finSent, allSent);
    }

    public override void Abort(bool resets)
    {
        _aborted = true;
        if (!_finSent) // Behind the end no flush is ours, and the next one of whoever stands before would be cancelled.
        {
            CancelFlush();
        }

        Interleaving.Point();
        if (Interlocked.Exchange(ref _awaitsAbort, 0) == 1)
        {
            _ended = CompleteAbortedAsync();
        }
    }

    // The stream may have passed a part of the handler's bytes on: the writer would send all of them once more, and TLS
    // ends in the middle of a record. The token of the goodbye ends the wait for the flush, and not the flush.
    public override void GiveUpGoodbye()
    {
        if (!_isStream)
        {
            base.GiveUpGoodbye();
        }
    }

    protected override ValueTask<FlushResult> FlushCore(CancellationToken cancellationToken)
    {
        wrapped?.Start();
        if (!_isStream)
        {
            return Accept(Writer.FlushAsync(cancellationToken));
        }

        var isGoodbye = Goodbye is not null;
        var flush = InTurnAsync(
            Turn.Wait(0, CancellationToken.None),
            Writer.FlushAsync,
            isGoodbye ? CancellationToken.None : cancellationToken);
        if (!isGoodbye || flush.IsCompleted)
        {
            return flush;
        }

        var flushing = flush.AsTask();
        _ = flushing.ContinueWith(static flush => flush.Exception, TaskScheduler.Default); // The end tells of it again.
        return new ValueTask<FlushResult>(flushing.WaitAsync(cancellationToken));
    }

    protected override ValueTask<FlushResult> WriteCore(
        ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        wrapped?.Start();
        if (!_isStream)
        {
            return Accept(WriteToPipe(source, cancellationToken));
        }

        var hasTurn = Turn.Wait(0, CancellationToken.None);
        if (!hasTurn)
        {
            source = source.ToArray(); // The caller may use its memory again while it waits for its turn.
        }

        return InTurnAsync(hasTurn, WriteAsync, cancellationToken);

        ValueTask<FlushResult> WriteAsync(CancellationToken token)
        {
            if (token.IsCancellationRequested)
            {
                return ValueTask.FromCanceled<FlushResult>(token);
            }

            OnWritten(source.Length);
            return Writer.WriteAsync(source, token);
        }
    }

    protected override void End(LeftOver leftOver, bool flushedOnly, Exception? fault) =>
        _ended = EndAsync(leftOver, flushedOnly, fault);

    private ValueTask<FlushResult> Accept(ValueTask<FlushResult> flush) => flush.IsCompletedSuccessfully
        ? new ValueTask<FlushResult>(Accept(flush.GetAwaiter().GetResult(), WrittenBytes))
        : new ValueTask<FlushResult>(AwaitInTurnAsync(flush));

    private async Task<FlushResult> AwaitInTurnAsync(ValueTask<FlushResult> flush)
    {
        var flushed = WrittenBytes;
        Interleaving.Point();
        await Turn.WaitAsync().ConfigureAwait(false);
        try
        {
            return _aborted && !flush.IsCompleted
                ? new FlushResult(isCanceled: true, isCompleted: false) // The cancellation went to the flush before.
                : Accept(await flush.ConfigureAwait(false), flushed);
        }
        finally
        {
            Turn.Release();
        }
    }

    private async ValueTask<FlushResult> InTurnAsync(
        bool hasTurn, Func<CancellationToken, ValueTask<FlushResult>> start, CancellationToken cancellationToken)
    {
        if (!hasTurn)
        {
            Interleaving.Point();
            await Turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        try
        {
            if (_aborted && !hasTurn)
            {
                return new FlushResult(isCanceled: true, isCompleted: false);
            }

            var flush = start(cancellationToken);
            var flushed = WrittenBytes;
            return Accept(await flush.ConfigureAwait(false), flushed);
        }
        finally
        {
            Turn.Release();
        }
    }

    private FlushResult Accept(FlushResult result, long flushed)
    {
        if (result.IsCompleted)
        {
            _cutOff |= flushed > SentBytes; // The other end of the pipe is gone, and threw away what was flushed.
        }
        else if (!result.IsCanceled)
        {
            Volatile.Write(ref _sentBytes, Math.Max(flushed, _sentBytes));
        }

        return result;
    }

    private async Task EndAsync(LeftOver leftOver, bool flushedOnly, Exception? fault)
    {
        Interleaving.Point();
        await Turn.WaitAsync().ConfigureAwait(false); // The handler may have returned without awaiting its flush.
        try
        {
            // A flush also tells whether somebody is left at the other end.
            if (!_aborted && (!flushedOnly || (Writer.CanGetUnflushedBytes && Writer.UnflushedBytes == 0)))
            {
                FlushResult result;
                do
                {
                    wrapped?.Start();
                    result = await Writer.FlushAsync(CancellationToken.None).ConfigureAwait(false);
                    Accept(result, WrittenBytes);
                }
                while (result.IsCanceled && !_aborted); // The handler's cancellation is not for this flush.
            }

            await CompleteAsync(leftOver, fault).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            TellFault(exception); // Whatever an unknown transport throws is how this connection ended.
        }
        finally
        {
            Turn.Release();
        }
    }

    private async ValueTask CompleteAsync(LeftOver leftOver, Exception? fault)
    {
        if (leftOver is LeftOver.SendThenReset or LeftOver.SendThenClose)
        {
            _allSent = true;
            if (leftOver == LeftOver.SendThenClose && !_aborted)
            {
                await Writer.CompleteAsync(fault).ConfigureAwait(false); // Whoever reads there tells the peer.
            }
            else if (!isLeftToServer)
            {
                Interleaving.Point();
                Interlocked.Exchange(ref _awaitsAbort, 1);
            }

            if (!_aborted)
            {
                Events.OnAllSent();
                return;
            }
        }

        var aborted = _aborted; // Once: the end told below is the one decided here.
        if (!aborted)
        {
            Events.OnFinSending();
        }

        if (!isLeftToServer && leftOver != LeftOver.Abandon)
        {
            // The nearest that a pipe has to RST: the peer's read throws.
            Interleaving.Point();
            Interlocked.Exchange(ref _awaitsAbort, 0);
            await Writer.CompleteAsync(aborted ? new ConnectionAbortedException() : null).ConfigureAwait(false);
        }

        if (aborted || _cutOff)
        {
            return; // A FIN behind what is missing would be no FIN. The input or the next look tells why.
        }

        _finSent = true;
        Events.OnFinSent();
    }

    private void CancelFlush()
    {
        try
        {
            Writer.CancelPendingFlush();
        }
        catch (ObjectDisposedException)
        {
            // The writer of a stream that was completed: there is no flush to cancel.
        }
    }

    private async Task CompleteAbortedAsync()
    {
        try
        {
            await Writer.CompleteAsync(new ConnectionAbortedException()).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            TellFault(exception); // As above.
        }
    }
}
