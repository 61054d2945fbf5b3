using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Transport;

/// <summary>
/// The output of a transport that has no socket, where the completion of the transport's own writer stands for our FIN; or of one that another middleware wraps, whose socket is
/// not ours to write to. There TLS has an end of its own, close_notify; without it the end of the output reaches the peer only when the server closes both directions.
/// </summary>
/// <param name="writer">The transport's own writer.</param>
/// <param name="wrapped">How far the output of a wrapped transport got; <see langword="null"/> where there is no socket below it.</param>
/// <param name="closeNotify">Ends TLS; <see langword="null"/> where there is none.</param>
/// <param name="events">Who is told.</param>
/// <param name="activity">Where it is noted when bytes were flushed; <see langword="null"/> when that is of no interest.</param>
internal sealed class PipeOutput(PipeWriter writer, WrappedDelivery? wrapped, CloseNotify? closeNotify, ITransportEvents events, Activity? activity = null)
    : TransportOutput(writer, events, activity)
{
    private long _sentBytes;
    private volatile Task _flushing = Task.CompletedTask;
    private volatile bool _aborted;
    private volatile bool _finSent;
    private volatile bool _cutOff;
    private Task _ended = Task.CompletedTask;

    public override bool SeesAcknowledgements => wrapped?.SeesAcknowledgements == true;

    public override bool CanHalfClose => wrapped is null || closeNotify is not null;

    public override long SentBytes => Volatile.Read(ref _sentBytes);

    public override bool IsWriteBlocked => !_flushing.IsCompleted;

    /// <summary>Gets a task that completes when the transport's writer will not be touched any more.</summary>
    public override Task Ended => _ended;

    public override DeliveryStatus GetDelivery() =>
        _cutOff ? new DeliveryStatus(SentBytes, IsDelivered: false, IsReset: true, null)
        : wrapped?.Get(WrittenBytes, SentBytes, _finSent) ?? new DeliveryStatus(SentBytes, _finSent, IsReset: false, null);

    public override void Abort()
    {
        _aborted = true;
        try
        {
            Writer.CancelPendingFlush();
        }
        catch (ObjectDisposedException)
        {
            // The writer of a stream that was completed: there is no flush to cancel.
        }
    }

    protected override void OnFlushing() => wrapped?.Start();

    protected override ValueTask<FlushResult> OnFlushed(ValueTask<FlushResult> flush)
    {
        if (flush.IsCompletedSuccessfully && _flushing.IsCompleted)
        {
            return new ValueTask<FlushResult>(Accept(flush.GetAwaiter().GetResult(), WrittenBytes));
        }

        var flushing = WaitAsync(_flushing, flush);
        _flushing = flushing;
        return new ValueTask<FlushResult>(flushing);
    }

    protected override void End(LeftOver leftOver) => _ended = EndAsync(leftOver);

    // In a row, as a pipe's writer has one waiter: a second one would end the pipe with an error.
    private async Task<FlushResult> WaitAsync(Task before, ValueTask<FlushResult> flush)
    {
        var flushing = WrittenBytes;
        await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); // Its own caller gets what it threw.
        if (_aborted && !flush.IsCompleted)
        {
            return new FlushResult(isCanceled: true, isCompleted: false); // The one cancellation went to the flush before.
        }

        return Accept(await flush.ConfigureAwait(false), flushing);
    }

    private FlushResult Accept(FlushResult result, long flushed)
    {
        if (result.IsCompleted)
        {
            _cutOff |= flushed > SentBytes; // The other end of the pipe is gone, and threw away what was flushed.
        }
        else if (!result.IsCanceled)
        {
            Volatile.Write(ref _sentBytes, flushed);
        }

        return result;
    }

    private async Task EndAsync(LeftOver leftOver)
    {
        try
        {
            await _flushing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); // The handler may have returned without awaiting it.
            if (leftOver == LeftOver.Send && !_aborted)
            {
                FlushResult result;
                do
                {
                    OnFlushing();
                    result = await OnFlushed(Writer.FlushAsync(CancellationToken.None)).ConfigureAwait(false);
                }
                while (result.IsCanceled && !_aborted); // The handler's cancellation is not for this flush.
            }

            var aborted = _aborted;
            if (leftOver != LeftOver.DropAndKeepMemory)
            {
                Events.OnFinSending();

                // The nearest that a pipe has to RST: the peer's read throws.
                await Writer.CompleteAsync(aborted ? new ConnectionAbortedException() : null).ConfigureAwait(false);
            }

            if (aborted)
            {
                return;
            }

            if (closeNotify is not null)
            {
                wrapped?.Get(WrittenBytes, SentBytes, ended: false);
                await closeNotify.SendAsync().ConfigureAwait(false);
            }
        }
        catch (Exception exception)
        {
            Events.OnFaulted(exception); // Whatever an unknown transport throws is how this connection ended; it is logged there.
            return;
        }

        if (_cutOff)
        {
            return; // A FIN behind what is missing would be no FIN. The input tells why, or the next look at the delivery does.
        }

        _finSent = true;
        Events.OnFinSent();
    }
}
