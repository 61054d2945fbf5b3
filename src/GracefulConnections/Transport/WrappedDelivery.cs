namespace GracefulConnections.Transport;

/// <summary>
/// How far the output of a transport got that another middleware wraps. Its bytes are not ours to count: what the kernel acknowledges is what the middleware made of them, and some may
/// be on their way from it to the kernel. Without TLS the one who closes waits for a quiet moment; with it the size of the records tells more.
/// </summary>
internal sealed class WrappedDelivery(SocketProbe probe, bool isTls, TimeProvider clock)
{
    // RFC 8446, 5.1: a record holds 2^14 bytes at most, behind a header of 5 bytes; 8 bytes is the shortest tag of any cipher suite.
    private const long MaxRecordBytes = 1 << 14;
    private const long MinRecordOverhead = 5 + 8;

    // Long enough for the transport's send loop to get from its buffer to the kernel.
    private static readonly TimeSpan Settled = TimeSpan.FromMilliseconds(10);

    private bool _started;
    private long _sentBefore;
    private long _deliveredBytes = -1;
    private long _acknowledgedAtLook = -1;
    private long _acknowledgedSince;

    /// <summary>Gets whether the peer's acknowledgements can be seen.</summary>
    public bool SeesAcknowledgements => isTls && probe.SeesAcknowledgements && !probe.IsUnix;

    /// <summary>Call before the first byte: what was sent before it, the handshake, is not the handler's.</summary>
    public void Start()
    {
        if (!_started && isTls && probe.TryGetTcpInfo(out var info))
        {
            _sentBefore = info.AcknowledgedBytes + probe.GetSendQueueLength();
        }

        _started = true;
    }

    /// <param name="writtenBytes">The bytes that the handler wrote.</param>
    /// <param name="sentBytes">The bytes of them that went on to the middleware.</param>
    /// <param name="ended">Whether the end of the output followed them. Call it once before close_notify does: a peer that has ended answers that with RST, which then means nothing.</param>
    public DeliveryStatus Get(long writtenBytes, long sentBytes, bool ended)
    {
        if (!probe.TryGetTcpInfo(out var info))
        {
            return probe.IsDisposed() ? new DeliveryStatus(0, IsDelivered: false, IsReset: false, null, IsGone: true)
                : probe.IsUnix && probe.GetSendQueueLength() is var unread ? new DeliveryStatus(unread, ended && unread == 0, IsReset: false, ended && unread == 0 ? 0 : null)
                : new DeliveryStatus(0, ended, IsReset: false, null);
        }

        var isQuiet = info.State != TcpInfo.Closed && !info.HasUnacknowledged;
        if (isTls && isQuiet && info.AcknowledgedBytes - _sentBefore >= GetLeastRecordBytes(sentBytes))
        {
            _deliveredBytes = sentBytes;
        }

        var isDelivered = _deliveredBytes == sentBytes;
        var isEnd = ended && (isDelivered || (isQuiet && (!isTls || HasSettled(info.AcknowledgedBytes))));
        return new DeliveryStatus(
            info.AcknowledgedBytes,
            isEnd,
            info.State == TcpInfo.Closed && !isEnd,
            isDelivered || isEnd ? writtenBytes - sentBytes : isTls && info.AcknowledgedBytes <= _sentBefore ? writtenBytes : null,
            IsWindowClosed: info.IsWindowClosed);
    }

    private static long GetLeastRecordBytes(long bytes) => bytes + ((bytes + MaxRecordBytes - 1) / MaxRecordBytes * MinRecordOverhead);

    // For a middleware inside of TLS that makes fewer bytes of what was written, such as one that compresses.
    private bool HasSettled(long acknowledged)
    {
        var now = clock.GetTimestamp();
        if (acknowledged != _acknowledgedAtLook)
        {
            (_acknowledgedAtLook, _acknowledgedSince) = (acknowledged, now);
        }

        return clock.GetElapsedTime(_acknowledgedSince, now) >= Settled;
    }
}
