using System.IO.Pipelines;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Support;

/// <summary>An output whose kernel is the test: it says when our FIN was sent and what the peer has acknowledged.</summary>
internal sealed class FakeOutput(ITransportEvents events) : TransportOutput(new Pipe().Writer, events, null)
{
    /// <summary>Gets or sets what the kernel tells.</summary>
    public DeliveryStatus Delivery { get; set; }

    public bool IsBlocked { get; set; }

    public bool IsAborted { get; private set; }

    public LeftOver? EndedWith { get; private set; }

    public override bool SeesAcknowledgements => true;

    public override bool CanHalfClose => true;

    public override bool IsWriteBlocked => IsBlocked;

    public override long SentBytes => Delivery.Progress;

    public override DeliveryStatus GetDelivery() => Delivery;

    public override void Abort(bool resets) => IsAborted = true;

    /// <summary>The kernel takes our FIN.</summary>
    public void SendFin()
    {
        Events.OnFinSending();
        Events.OnFinSent();
    }

    protected override ValueTask<FlushResult> FlushCore(CancellationToken cancellationToken) =>
        Writer.FlushAsync(cancellationToken);

    protected override ValueTask<FlushResult> WriteCore(ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        OnWritten(source.Length);
        return Writer.WriteAsync(source, cancellationToken);
    }

    protected override void End(LeftOver leftOver, bool flushedOnly) => EndedWith = leftOver;
}
