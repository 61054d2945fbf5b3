namespace GracefulConnections.Transport;

/// <summary>
/// How far the output of a transport got that another middleware wraps. Its bytes are not ours to count, because the
/// kernel acknowledges what the middleware made of them, and some may be on their way from it to the kernel. Without
/// TLS the one who closes waits for a quiet moment. With it the size of the records tells more.
/// </summary>
internal sealed class WrappedDelivery(KernelQueue queue, bool isTls, TimeProvider clock)
{
    // RFC 8446, 5.1: a record holds 2^14 bytes at most, behind a header of 5 bytes. The shortest tag of any cipher
    // suite has 8 bytes.
    private const long MaxRecordBytes = 1 << 14;
    private const long MinRecordOverhead = 5 + 8;

    // Long enough for the transport's send loop to get from its buffer to the kernel.
    private static readonly TimeSpan Settled = TimeSpan.FromMilliseconds(10);

    private bool _started;
    private long _sentBefore;
    private long _deliveredBytes = -1;
    private (int Queued, long Acknowledged) _atLook = (-1, -1);
    private long _unchangedSince;

    /// <summary>Gets whether the peer's acknowledgements can be seen.</summary>
    public bool SeesAcknowledgements => isTls && queue.SeesAcknowledgements && !queue.IsUnix;

    /// <summary>Gets whether this side has closed the connection.</summary>
    public bool IsClosed => queue.IsClosed;

    /// <summary>Looks how far the output of a sink got that is not the kernel, perhaps with no socket below.</summary>
    public static DeliveryStatus Get(
        WrappedDelivery? delivery, long writtenBytes, long sentBytes, bool finSent, bool allSent)
    {
        var isEnd = finSent || allSent;
        var status = delivery?.Get(writtenBytes, sentBytes, isEnd)
            ?? new DeliveryStatus(
                sentBytes, finSent, IsReset: false, null, IsInKernel: finSent, IsAllAcknowledged: isEnd);
        return finSent ? status : status with { IsDelivered = false, IsInKernel = false };
    }

    /// <summary>Call before the first byte: what was sent before it, the handshake, is not the handler's.</summary>
    public void Start()
    {
        if (_started)
        {
            return;
        }

        if (isTls && queue.TryGetTcpInfo(out var info) && queue.TryGetSendLength(out var queued))
        {
            _sentBefore = info.AcknowledgedBytes + Math.Max(0, queued);
        }

        _started = true;
    }

    // Call it once before close_notify does: a peer that has ended answers that with RST, which then means nothing.
    public DeliveryStatus Get(long writtenBytes, long sentBytes, bool ended)
    {
        if (!queue.TryGetSendLength(out var queued))
        {
            return new DeliveryStatus(0, IsDelivered: false, IsReset: false, null, IsGone: true);
        }

        if (queued < 0)
        {
            return new DeliveryStatus(
                sentBytes, ended, IsReset: false, null, IsInKernel: ended, IsAllAcknowledged: ended);
        }

        if (queue.IsUnix)
        {
            var isRead = ended && queued == 0;
            return new DeliveryStatus(
                HashCode.Combine(sentBytes, queued),
                isRead,
                IsReset: false,
                isRead ? 0 : null,
                IsInKernel: ended,
                IsAllAcknowledged: isRead);
        }

        var hasInfo = queue.TryGetTcpInfo(out var info);
        var isClosed = hasInfo && info.State == TcpInfo.Closed;
        var isQuiet = queued == 0 && !isClosed;
        if (isTls && isQuiet && hasInfo && info.AcknowledgedBytes - _sentBefore >= GetLeastRecordBytes(sentBytes))
        {
            _deliveredBytes = sentBytes;
        }

        var isDelivered = _deliveredBytes == sentBytes;
        var isEnd = ended && (isDelivered || (isQuiet && (!isTls || HasSettled(queued, info.AcknowledgedBytes))));
        return new DeliveryStatus(
            HashCode.Combine(sentBytes, queued, info.AcknowledgedBytes),
            isEnd,
            isClosed && !isEnd,
            isDelivered || isEnd ? writtenBytes - sentBytes
                : isTls && hasInfo && info.AcknowledgedBytes <= _sentBefore ? writtenBytes
                : null,
            IsWindowClosed: info.IsWindowClosed,
            IsInKernel: ended,
            IsAllAcknowledged: isDelivered || isEnd);
    }

    private static long GetLeastRecordBytes(long bytes) =>
        bytes + ((bytes + MaxRecordBytes - 1) / MaxRecordBytes * MinRecordOverhead);

    // For a middleware inside of TLS that makes fewer bytes of what was written, such as one that compresses.
    private bool HasSettled(int queued, long acknowledged)
    {
        var now = clock.GetTimestamp();
        if (_atLook != (queued, acknowledged))
        {
            (_atLook, _unchangedSince) = ((queued, acknowledged), now);
        }

        return clock.GetElapsedTime(_unchangedSince, now) >= Settled;
    }
}
