using System.Buffers;
using System.IO.Pipelines;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>An output whose kernel takes and whose peer acknowledges what it is told to, when it is told to.</summary>
internal sealed class SteppedOutput : TransportOutput
{
    private readonly PipeReader _kernel;
    private long _sent;
    private long _acknowledged;
    private bool _ending;
    private bool _finAcknowledged;
    private bool _gaveUp;

    private SteppedOutput(Pipe pipe, ITransportEvents events)
        : base(pipe.Writer, events) =>
        _kernel = pipe.Reader;

    public override bool SeesAcknowledgements => true;

    public override bool CanHalfClose => true;

    public override bool IsWriteBlocked => !IsCompleted && WrittenBytes - _sent >= 1024;

    public override long SentBytes => _sent;

    public long AcknowledgedBytes => _acknowledged;

    public bool FinSent { get; private set; }

    public bool IsDelivered => FinSent && _finAcknowledged && _acknowledged == _sent;

    public bool Aborted { get; private set; }

    public static SteppedOutput Create(ITransportEvents events) =>
        new(new Pipe(new PipeOptions(null, PipeScheduler.Inline, PipeScheduler.Inline, pauseWriterThreshold: 0, useSynchronizationContext: false)), events);

    public override DeliveryStatus GetDelivery() =>
        new(_acknowledged + (_finAcknowledged ? 1 : 0), IsDelivered, _gaveUp && !IsDelivered, WrittenBytes - _acknowledged);

    public override void Abort(bool resets) => Aborted = true;

    public void Take(long bytes)
    {
        while (bytes > 0 && !Aborted && _kernel.TryRead(out var result))
        {
            var taken = Math.Min(bytes, result.Buffer.Length);
            BrokenInvariantException.ThrowIf(taken > 0 && FinSent, "bytes were written behind our FIN");
            BrokenInvariantException.ThrowIf(!Pattern.Matches(_sent, result.Buffer.Slice(0, taken)), $"the kernel got other bytes than were written, somewhere after {_sent}");
            _kernel.AdvanceTo(result.Buffer.GetPosition(taken));
            _sent += taken;
            bytes -= taken;
            if (taken == 0)
            {
                break;
            }
        }

        SendFinIfAllWasTaken();
    }

    /// <returns>Whether anything was acknowledged that was not before.</returns>
    public bool Acknowledge(long bytes)
    {
        var before = _acknowledged;
        _acknowledged = Math.Min(_sent, _acknowledged + bytes);
        return _acknowledged != before;
    }

    public bool AcknowledgeFin()
    {
        if (!FinSent || _finAcknowledged || _gaveUp)
        {
            return false;
        }

        _acknowledged = _sent; // An ACK of the FIN is one of all before it.
        _finAcknowledged = true;
        return true;
    }

    public void GiveUp() => _gaveUp = true;

    protected override ValueTask<FlushResult> FlushCore(CancellationToken cancellationToken) =>
        Writer.FlushAsync(cancellationToken);

    protected override ValueTask<FlushResult> WriteCore(ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        OnWritten(source.Length);
        return Writer.WriteAsync(source, cancellationToken);
    }

    protected override void End(LeftOver leftOver, bool flushedOnly, Exception? fault)
    {
        Writer.Complete();
        _ending = true;
        SendFinIfAllWasTaken();
    }

    private void SendFinIfAllWasTaken()
    {
        if (_ending && !FinSent && !Aborted && _sent == WrittenBytes)
        {
            FinSent = true;
            Events.OnFinSending();
            Events.OnFinSent();
        }
    }
}
