using System.IO.Pipelines;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>An output whose kernel and peer are another thread than its handler.</summary>
internal sealed class RaceOutput(ITransportEvents events, bool canHalfClose)
    : TransportOutput(new Pipe(new PipeOptions(pauseWriterThreshold: 0)).Writer, events)
{
    private long _sent;
    private long _acknowledged;
    private int _isEndSent;
    private volatile bool _isEnding;
    private volatile bool _sendsFin;
    private volatile bool _finSent;
    private volatile bool _finAcknowledged;
    private volatile bool _gaveUp;
    private volatile bool _isGone;
    private volatile bool _aborted;

    public override bool SeesAcknowledgements => true;

    public override bool CanHalfClose => canHalfClose;

    public override bool IsWriteBlocked => !_aborted && WrittenBytes - SentBytes >= 1024;

    public override long SentBytes => Volatile.Read(ref _sent);

    public bool IsAborted => _aborted;

    public bool IsDelivered => _finSent && _finAcknowledged;

    public override DeliveryStatus GetDelivery()
    {
        var (finSent, finAcknowledged, acknowledged) = (_finSent, _finAcknowledged, Volatile.Read(ref _acknowledged));
        var isDelivered = finSent && finAcknowledged;
        return new DeliveryStatus(
            acknowledged + (finAcknowledged ? 1 : 0),
            isDelivered,
            IsReset: _gaveUp && !isDelivered,
            UnacknowledgedBytes: WrittenBytes - acknowledged,
            IsGone: _isGone && !isDelivered,
            IsOnlyFinMissing: finSent && !finAcknowledged && acknowledged == WrittenBytes,
            IsAllAcknowledged: acknowledged == WrittenBytes);
    }

    public override void Abort(bool resets) => _aborted = true;

    public void Take(long bytes)
    {
        Volatile.Write(ref _sent, Math.Min(WrittenBytes, _sent + bytes));
        SendEnd();
    }

    public void Acknowledge(long bytes) => Volatile.Write(ref _acknowledged, Math.Min(_sent, _acknowledged + bytes));

    public void AcknowledgeFin()
    {
        if (_finSent)
        {
            Volatile.Write(ref _acknowledged, WrittenBytes);
            _finAcknowledged = true;
        }
    }

    public void GiveUp() => _gaveUp = true;

    public void Disappear() => _isGone = true;

    protected override ValueTask<FlushResult> FlushCore(CancellationToken cancellationToken) => default;

    protected override ValueTask<FlushResult> WriteCore(ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        OnWritten(source.Length);
        return default;
    }

    protected override void End(LeftOver leftOver, bool flushedOnly, Exception? fault)
    {
        _sendsFin = leftOver == LeftOver.Send;
        _isEnding = true;
        SendEnd();
    }

    private void SendEnd()
    {
        if (!_isEnding || _aborted || SentBytes != WrittenBytes || Interlocked.Exchange(ref _isEndSent, 1) != 0)
        {
            return;
        }

        if (!_sendsFin)
        {
            Events.OnAllSent();
            return;
        }

        Events.OnFinSending();
        _finSent = true;
        Events.OnFinSent();
    }
}
