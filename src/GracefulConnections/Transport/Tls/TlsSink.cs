using System.Buffers;
using System.IO.Pipelines;
using System.Net.Security;
using System.Runtime.CompilerServices;

namespace GracefulConnections.Transport.Tls;

/// <summary>
/// Sends inside of TLS. The server's own writer there gives its memory back as soon as the middleware below disposes
/// it, so the memory is the loop's, until the stream has taken what is in it.
/// </summary>
/// <param name="stream">The TLS stream. It may block or ignore its token: whoever closes waits within bounds.</param>
/// <param name="sendCloseNotify">Sends what stands for our FIN.</param>
/// <param name="delivery">How far the bytes got; <see langword="null"/> where there is no socket below.</param>
/// <param name="below">
/// The writer to the socket, if TLS writes to it; <see langword="null"/> where somebody stands between.
/// </param>
internal sealed class TlsSink(
    Stream stream, Func<Task> sendCloseNotify, WrappedDelivery? delivery, PipeWriter? below = null) : ISendSink
{
    public bool SeesAcknowledgements => delivery?.SeesAcknowledgements == true;

    public bool IsKernel => false;

    public bool HasPassedOn => below is not null && OutputPipe.IsEmpty(below);

    public bool IsClosed => delivery?.IsClosed == true;

    public bool CanHalfClose => true;

    // Has no timer: nothing to dispose.
    private CancellationTokenSource Cancellation { get; } = new();

    /// <summary>Makes the sink of a connection whose input is read by <paramref name="input"/>.</summary>
    public static TlsSink Create(SslStream tls, ReadPump input, WrappedDelivery? delivery, PipeWriter? below)
    {
        return new TlsSink(tls, SendCloseNotifyAsync, delivery, below);

        // Takes as long as the transport takes to accept it. An abort of the connection ends it.
        async Task SendCloseNotifyAsync()
        {
            var sending = new TaskCompletionSource<Task>(TaskCreationOptions.RunContinuationsAsynchronously);

            // The stream does not guard its end against a read that decrypts at the same moment on another thread.
            input.RunBetweenReads(() => sending.SetResult(StartAsync()));
            await (await sending.Task.ConfigureAwait(false)).ConfigureAwait(false);
        }

        // A handler may have said close_notify itself, and the second one is an error.
        async Task StartAsync()
        {
            if (tls.CanWrite)
            {
                await tls.ShutdownAsync().ConfigureAwait(false);
            }
        }
    }

    public ValueTask<long> SendAsync(in ReadOnlySequence<byte> buffer)
    {
        delivery?.Start();
        var bytes = ISendSink.FirstOf(buffer);
        var isLast = bytes.Length == buffer.Length;
        var write = stream.WriteAsync(bytes, Cancellation.Token);
        if (!write.IsCompletedSuccessfully)
        {
            return FinishAsync(write, bytes.Length, isLast);
        }

        write.GetAwaiter().GetResult();
        if (isLast && stream.FlushAsync(Cancellation.Token) is { IsCompletedSuccessfully: false } flush)
        {
            return FinishAsync(new ValueTask(flush), bytes.Length, isLast: false);
        }

        return new ValueTask<long>(bytes.Length);
    }

    public async ValueTask EndAsync(long writtenBytes, long sentBytes)
    {
        delivery?.Get(writtenBytes, sentBytes, ended: false); // A peer that has ended answers close_notify with RST.
        await sendCloseNotify().ConfigureAwait(false);
    }

    public DeliveryStatus GetDelivery(long writtenBytes, long sentBytes, bool finSent, bool allSent) =>
        WrappedDelivery.Get(delivery, writtenBytes, sentBytes, finSent, allSent);

    public void Abort(bool resets)
    {
        try
        {
            Cancellation.Cancel();
        }
        catch (AggregateException)
        {
            // A callback of the stream's failed. The abort goes on without it: the server closes the socket next.
        }
    }

    // Mostly the stream takes everything at once, and nobody comes here.
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<long> FinishAsync(ValueTask pending, int count, bool isLast)
    {
        await pending.ConfigureAwait(false);
        if (isLast)
        {
            await stream.FlushAsync(Cancellation.Token).ConfigureAwait(false);
        }

        return count;
    }
}
