using System.IO.Pipelines;

namespace GracefulConnections.Transport;

/// <summary>
/// The output inside of TLS. The server's own writer there gives its memory back as soon as the middleware below
/// disposes it; this one owns its memory until the stream has taken it.
/// </summary>
/// <param name="pipe">The pipe.</param>
/// <param name="stream">The TLS stream. It may block or ignore its token: whoever closes waits within bounds.</param>
/// <param name="sendCloseNotify">Sends what stands for our FIN.</param>
/// <param name="wrapped">How far the bytes got; <see langword="null"/> where there is no socket below.</param>
/// <param name="events">Who is told.</param>
/// <param name="activity">Where flushes are noted.</param>
internal sealed class TlsOutput(
    Pipe pipe,
    Stream stream,
    Func<Task> sendCloseNotify,
    WrappedDelivery? wrapped,
    ITransportEvents events,
    Activity activity)
    : OwnedOutput(pipe, events, activity)
{
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _isUnflushed;

    // Has no timer: nothing to dispose.
    private CancellationTokenSource Cancellation { get; } = new();

    public override bool SeesAcknowledgements => wrapped?.SeesAcknowledgements == true;

    public override Task Ended => _ended.Task;

    public override DeliveryStatus GetDelivery()
    {
        var (finSent, allSent) = (IsFinSent, IsAllSent); // Read first, as nothing is sent behind them.
        var isEnd = finSent || allSent;
        var delivery = wrapped?.Get(WrittenBytes, SentBytes, isEnd)
            ?? new DeliveryStatus(SentBytes, finSent, IsReset: false, null, IsInKernel: finSent, IsAllAcknowledged: isEnd);
        return finSent ? delivery : delivery with { IsDelivered = false, IsInKernel = false };
    }

    public override bool IsFinInKernel => false;

    public override void Abort(bool resets)
    {
        base.Abort(resets);
        try
        {
            Cancellation.Cancel();
        }
        catch (AggregateException)
        {
            // A callback of the stream's failed. The abort goes on without it: the server closes the socket next.
        }
    }

    protected override void Send() => _ = SendAsync(); // Never faults; Ended tells of its end.

    private async Task SendAsync()
    {
        try
        {
            if (await SendUntilNothingIsLeftAsync().ConfigureAwait(false))
            {
                return;
            }
        }
        catch (Exception) when (IsAborted)
        {
            Finish(); // How the stream ends when it is aborted is its own matter.
        }
        catch (Exception exception)
        {
            Fail(exception); // Whatever TLS or what lies below it throws is how this connection ended.
        }

        _ended.TrySetResult();
    }

    /// <returns><see langword="false"/> when the output has ended.</returns>
    private async Task<bool> SendUntilNothingIsLeftAsync()
    {
        int seen;
        do
        {
            seen = Signals();
            while (true)
            {
                var next = Look(out var buffer);
                if (next == Next.Bytes)
                {
                    wrapped?.Start();
                    var segment = buffer.First;
                    await stream.WriteAsync(segment, Cancellation.Token).ConfigureAwait(false);
                    _isUnflushed = true;
                    OnSent(buffer.GetPosition(segment.Length), segment.Length);
                    continue;
                }

                if (next == Next.Aborted)
                {
                    Finish();
                    return false;
                }

                if (_isUnflushed)
                {
                    _isUnflushed = false;
                    await stream.FlushAsync(Cancellation.Token).ConfigureAwait(false);
                }

                if (next == Next.End)
                {
                    await SendEndAsync().ConfigureAwait(false);
                    return false;
                }

                break;
            }
        }
        while (HasMore(seen));

        return true;
    }

    private async Task SendEndAsync()
    {
        if (EndsWithReset)
        {
            FinishWithoutFin();
            return;
        }

        Events.OnFinSending();
        wrapped?.Get(WrittenBytes, SentBytes, ended: false); // A peer that has ended answers close_notify with RST.
        await sendCloseNotify().ConfigureAwait(false);
        FinishWithFin();
    }
}
