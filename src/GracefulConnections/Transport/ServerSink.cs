using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Transport;

/// <summary>
/// Sends through the server's own pipe, in order with what a middleware before us writes there. It is never completed:
/// the end reaches the peer when the server closes.
/// </summary>
internal sealed class ServerSink(PipeWriter writer, WrappedDelivery delivery) : ISendSink
{
    private volatile bool _isSending;

    public bool SeesAcknowledgements => delivery.SeesAcknowledgements;

    public bool IsKernel => false;

    public bool IsClosed => delivery.IsClosed;

    public bool CanHalfClose => false;

    public ValueTask<long> SendAsync(in ReadOnlySequence<byte> buffer) => SendAsync(ISendSink.FirstOf(buffer));

    public ValueTask EndAsync(long writtenBytes, long sentBytes) => default;

    public DeliveryStatus GetDelivery(long writtenBytes, long sentBytes, bool finSent, bool allSent) =>
        WrappedDelivery.Get(delivery, writtenBytes, sentBytes, finSent, allSent);

    public void Abort(bool resets)
    {
        if (_isSending) // Else the next flush of whoever stands before would be cancelled.
        {
            writer.CancelPendingFlush();
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<long> SendAsync(ReadOnlyMemory<byte> segment)
    {
        FlushResult result;
        _isSending = true;
        try
        {
            result = await writer.WriteAsync(segment).ConfigureAwait(false);
        }
        finally
        {
            _isSending = false;
        }

        return result.IsCompleted // The server has closed, and threw away what was in the pipe.
            ? throw new ConnectionResetException("The server closed the connection before everything was sent.")
            : segment.Length;
    }
}
