using System.Buffers;
using System.Net.Sockets;

namespace GracefulConnections.Transport;

/// <summary>
/// What the kernel says of a socket's queues, and the sink that sends on the socket. The kernel is asked about its own
/// queues, and its totals are never compared with ours, because somebody else may read from the socket or send on it.
/// </summary>
internal sealed partial class KernelQueue : ISendSink
{
    private readonly Socket _socket;
    private readonly bool _trustsTcpInfo;
    private int _isPlainTcp; // 1 for yes, -1 for no, 0 for not asked: most connections never need to know.

    /// <param name="socket">The connection's socket.</param>
    /// <param name="platform">What the kernel can be trusted with; <see langword="null"/> to find out.</param>
    public KernelQueue(Socket socket, PlatformProbe? platform = null)
    {
        _socket = socket;
        IsUnix = socket.AddressFamily == AddressFamily.Unix;
        if (IsUnix)
        {
            SeesAcknowledgements = true;
        }
        else if (socket.SocketType == SocketType.Stream
            && socket.AddressFamily is AddressFamily.InterNetwork or AddressFamily.InterNetworkV6)
        {
            platform ??= PlatformProbe.Current;
            SeesAcknowledgements = platform.TrustsSendQueue;
            _trustsTcpInfo = platform.TrustsTcpInfo;
        }
    }

    /// <summary>
    /// Gets whether it is a Unix domain socket. Its send queue holds what the peer has not read, in the kernel's own
    /// accounting: changes mean something, the value does not. What was sent is at the peer, so it is acknowledged.
    /// </summary>
    public bool IsUnix { get; }

    /// <summary>
    /// Gets whether the send queue can be trusted: it holds what the peer's kernel did not acknowledge of the bytes and
    /// our FIN. If not, delivered means handed to the kernel.
    /// </summary>
    public bool SeesAcknowledgements { get; }

    public bool IsKernel => true;

    public bool CanHalfClose => true;

    // On MPTCP, TCP_INFO describes one subflow of several.
    private bool SeesTcpInfo
    {
        get
        {
            if (_trustsTcpInfo && _isPlainTcp == 0)
            {
                _isPlainTcp = IsMptcp() ? -1 : 1;
            }

            return _isPlainTcp > 0;
        }
    }

    public ValueTask<long> SendAsync(in ReadOnlySequence<byte> buffer) =>
        SendOperation.Rent().SendAsync(_socket, buffer);

    public ValueTask EndAsync(long writtenBytes, long sentBytes)
    {
        // The managed Shutdown, not shutdown(2): the runtime remembers it, and without it Dispose turns a pending
        // receive into RST.
        _socket.Shutdown(SocketShutdown.Send);
        return default;
    }

    // A send that is under way ends when the server closes the socket.
    public void Abort(bool resets)
    {
        if (resets)
        {
            ResetOnClose();
        }
    }

    /// <summary>
    /// Gets whether anybody has sent on the connection. Ask before we send. <see langword="false"/> where everything
    /// that was sent was acknowledged and the kernel does not tell of it.
    /// </summary>
    public bool HasSentBefore() =>
        (TryGetSendLength(out var queued) && queued > 0) || (TryGetTcpInfo(out var info) && info.SentBytes > 0);

    /// <summary>
    /// Gets whether something of the peer's waits in the kernel: bytes, or, where that can be seen, the end of the
    /// connection. Ask it only while the reader has not seen the end.
    /// </summary>
    public bool IsBehind() =>
        GetUnreadLength() > 0
        || (TryGetTcpInfo(out var info)
            && info.State is not (TcpInfo.Established or TcpInfo.FinWait1 or TcpInfo.FinWait2));

    /// <summary>
    /// Gets the time since bytes of the peer's arrived, or since it connected; <see langword="null"/> where that cannot
    /// be seen.
    /// </summary>
    public TimeSpan? SinceReceived() => TryGetTcpInfo(out var info) ? info.SinceReceived : null;

    /// <summary>
    /// Gets whether the kernel gave the connection up. Where that cannot be seen: whether an operation found it reset,
    /// or our end was sent.
    /// </summary>
    public bool IsOver(bool finSent) =>
        SeesTcpInfo ? !TryGetTcpInfo(out var info) || info.State == TcpInfo.Closed : finSent || !_socket.Connected;

    /// <summary>
    /// Gets whether the connection was reset and no FIN of the peer's came before, which Linux counts as one more
    /// received byte. <see langword="false"/> where that cannot be seen, and where somebody else has read.
    /// </summary>
    public bool IsResetBeforeFin(long seenBytes) =>
        TryGetTcpInfo(out var info) && info.State == TcpInfo.Closed && info.ReceivedBytes == seenBytes;

    /// <summary>
    /// Gets whether the kernel holds an error, such as the peer's reset, that no operation has fetched: where nothing
    /// reads and nothing sends. <see langword="false"/> where that cannot be seen.
    /// </summary>
    public bool HasUnnoticedReset() => TryGetTcpInfo(out var info) && info.State == TcpInfo.Closed && HasError();

    /// <summary>Looks how far the output got. One call of the kernel's where everything was acknowledged.</summary>
    public DeliveryStatus GetDelivery(long writtenBytes, long sentBytes, bool finSent, bool allSent = false) =>
        GetDelivery(writtenBytes, sentBytes, finSent, allSent, isFirst: false);

    /// <summary>
    /// Looks right behind our FIN. An ACK may not be there yet, and why it is not is for the next look to find out,
    /// because each question to the kernel costs as much as a send.
    /// </summary>
    public DeliveryStatus GetFirstDelivery(long writtenBytes, long sentBytes) =>
        GetDelivery(writtenBytes, sentBytes, finSent: true, allSent: true, isFirst: true);

    private DeliveryStatus GetDelivery(
        long writtenBytes, long sentBytes, bool finSent, bool allSent, bool isFirst)
    {
        allSent |= finSent || writtenBytes == sentBytes;
        if (!TryGetSendLength(out var queued))
        {
            // What was sent on a Unix domain socket is at the peer, whatever became of the socket.
            long? left = IsUnix && writtenBytes == sentBytes ? 0 : null;
            return new DeliveryStatus(sentBytes, IsDelivered: false, IsReset: false, left, IsGone: true);
        }

        if (IsUnix || queued <= 0)
        {
            // Of a send that a Unix peer holds up, the kernel may have taken a part: it tells only at the send's end.
            long? left = !IsUnix && queued == 0 ? writtenBytes - sentBytes
                : IsUnix && writtenBytes == sentBytes ? 0
                : null;
            return new DeliveryStatus(
                HashCode.Combine(sentBytes, queued, 0L),
                finSent,
                IsReset: false,
                left,
                IsInKernel: finSent,
                IsAllAcknowledged: allSent);
        }

        // A queue that is refilled as fast as it empties keeps its length: there the total tells that it moves.
        var info = default(TcpInfo);
        var isReset = !isFirst && TryGetTcpInfo(out info) && info.State == TcpInfo.Closed;
        if (isReset && (!TryGetSendLength(out queued) || queued == 0))
        {
            return GetDelivery(writtenBytes, sentBytes, finSent, allSent); // Closed by both FINs between the looks.
        }

        // Of a send that is under way the kernel has taken a part, which counts on both sides until the send has ended.
        var fin = finSent ? 1 : 0;
        var missing = Math.Min(writtenBytes - sentBytes + queued - fin, Math.Max(writtenBytes, queued));
        return new DeliveryStatus(
            HashCode.Combine(sentBytes, queued, info.AcknowledgedBytes),
            IsDelivered: false,
            isReset,
            missing,
            IsWindowClosed: info.IsWindowClosed,
            IsInKernel: finSent,
            IsOnlyFinMissing: finSent && queued == 1,
            IsAllAcknowledged: allSent && queued == fin);
    }
}
