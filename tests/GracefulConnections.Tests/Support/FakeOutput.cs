using System.IO.Pipelines;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Support;

/// <summary>An output whose kernel is the test: it says when our FIN was sent and what the peer has acknowledged.</summary>
internal sealed class FakeOutput(ITransportEvents events) : TransportOutput(new Pipe().Writer, events)
{
    /// <summary>Gets or sets what the kernel tells.</summary>
    public DeliveryStatus Delivery { get; set; }

    /// <summary>Gets or sets what happens on another thread while the kernel is asked.</summary>
    public Action? Meanwhile { get; set; }

    public bool IsBlocked { get; set; }

    /// <summary>Gets or sets whether each question to the kernel is a system call.</summary>
    public bool LookCosts { get; set; }

    /// <summary>Gets or sets whether our FIN, once it was sent, is in the kernel.</summary>
    public bool FinIsInKernel { get; set; } = true;

    public bool IsAborted { get; private set; }

    /// <summary>Gets whether the abort was to reset the connection.</summary>
    public bool Resets { get; private set; }

    public LeftOver? EndedWith { get; private set; }

    public override bool SeesAcknowledgements => true;

    public override bool CanHalfClose => true;

    public override bool IsLookCostly => LookCosts;

    public override bool IsWriteBlocked => IsBlocked;

    /// <summary>Gets or sets how much of what was written has not gone on from here.</summary>
    public long UnsentBytes { get; set; }

    public override bool IsFinInKernel => FinIsInKernel;

    public override long SentBytes => WrittenBytes - UnsentBytes;

    /// <summary>Gets how often the kernel was asked.</summary>
    public int Looks { get; private set; }

    public override DeliveryStatus GetDelivery()
    {
        Looks++;
        Meanwhile?.Invoke();
        return Delivery;
    }

    public override void Abort(bool resets)
    {
        IsAborted = true;
        Resets = resets;
    }

    /// <summary>The kernel takes our FIN.</summary>
    public void SendFin()
    {
        Events.OnFinSending();
        Events.OnFinSent();
    }

    /// <summary>The kernel takes everything, and no FIN of ours follows.</summary>
    public void SendAll() => Events.OnAllSent();

    protected override ValueTask<FlushResult> FlushCore(CancellationToken cancellationToken) =>
        Writer.FlushAsync(cancellationToken);

    protected override ValueTask<FlushResult> WriteCore(ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        OnWritten(source.Length);
        return Writer.WriteAsync(source, cancellationToken);
    }

    protected override void End(LeftOver leftOver, bool flushedOnly, Exception? fault) => EndedWith = leftOver;
}
