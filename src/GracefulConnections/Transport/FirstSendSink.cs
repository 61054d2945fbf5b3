using System.Buffers;
using System.IO.Pipelines;

namespace GracefulConnections.Transport;

/// <summary>
/// The sink of a connection where a middleware stands before us. It may write after we took the connection over, and
/// what we send on the socket could overtake that. So the first send looks once more whether anybody has sent.
/// </summary>
internal sealed class FirstSendSink(KernelQueue socket, PipeWriter server, WrappedDelivery delivery)
    : ISendSink
{
    private volatile ISendSink? _chosen;

    public bool SeesAcknowledgements => Current.SeesAcknowledgements;

    public bool IsLookCostly => Current.IsLookCostly;

    public bool IsKernel => Current.IsKernel;

    public bool IsClosed => Current.IsClosed;

    public bool CanHalfClose => Current.CanHalfClose;

    public bool HoldsSmallSends(bool hasSent) => Current.HoldsSmallSends(hasSent);

    private ISendSink Current => _chosen ?? socket;

    public ValueTask<long> SendAsync(in ReadOnlySequence<byte> buffer) => Choose().SendAsync(buffer);

    public ValueTask EndAsync(long writtenBytes, long sentBytes) => Choose().EndAsync(writtenBytes, sentBytes);

    public DeliveryStatus GetDelivery(long writtenBytes, long sentBytes, bool finSent, bool allSent) =>
        Current.GetDelivery(writtenBytes, sentBytes, finSent, allSent);

    public void Abort(bool resets) => Current.Abort(resets);

    private ISendSink Choose() => _chosen ??= socket.HasSentBefore() ? new ServerSink(server, delivery) : socket;
}
