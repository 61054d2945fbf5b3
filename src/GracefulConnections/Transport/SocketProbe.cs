using System.Net.Sockets;

namespace GracefulConnections.Transport;

/// <summary>
/// Asks the kernel how far a connection got. It asks about the kernel's own queues and never compares the kernel's
/// totals with ours, because somebody else may read from the socket or send on it.
/// </summary>
internal sealed class SocketProbe
{
    private const int MptcpProtocol = 262; // IPPROTO_MPTCP in linux/in.h.
    private const int SolSocket = 1;
    private const int SoProtocol = 38;

    private readonly Socket _socket;
    private readonly Kind _kind;
    private readonly bool _seesTcpInfo;

    /// <param name="socket">The connection's socket.</param>
    /// <param name="platform">What the kernel can be trusted with; <see langword="null"/> to find out.</param>
    public SocketProbe(Socket socket, PlatformProbe? platform = null)
    {
        _socket = socket;
        if (socket.AddressFamily == AddressFamily.Unix)
        {
            _kind = Kind.Unix;
            return;
        }

        if (socket.SocketType != SocketType.Stream
            || socket.AddressFamily is not (AddressFamily.InterNetwork or AddressFamily.InterNetworkV6))
        {
            return;
        }

        platform ??= PlatformProbe.Current;
        _kind = platform.TrustsSendQueue ? Kind.Tcp : Kind.Other;

        // On MPTCP it describes one subflow of several.
        _seesTcpInfo = platform.TrustsTcpInfo && !IsMptcp(socket);
    }

    private enum Kind
    {
        Other,

        // TCP, of one path or several, whose send queue can be trusted.
        Tcp,

        // The bytes of a Unix domain socket are in the peer's queue once they are sent: sent is acknowledged.
        Unix,
    }

    /// <summary>Gets whether it is a Unix domain socket.</summary>
    public bool IsUnix => _kind == Kind.Unix;

    /// <summary>Gets whether the peer's acknowledgements can be seen, so that delivered means delivered.</summary>
    public bool SeesAcknowledgements => _kind != Kind.Other;

    /// <param name="writtenBytes">The bytes that the handler wrote.</param>
    /// <param name="sentBytes">The bytes of them that the kernel has taken.</param>
    /// <param name="finSent">Whether our FIN was handed to the kernel behind them. Read it before the bytes.</param>
    /// <param name="isAllSent">Whether nothing more is to be sent, although something may have been written.</param>
    public DeliveryStatus GetDelivery(long writtenBytes, long sentBytes, bool finSent, bool isAllSent = false)
    {
        isAllSent |= finSent || writtenBytes == sentBytes;
        if (!TryGetSendQueueLength(out var queued))
        {
            // What was sent on a Unix domain socket is at the peer, whatever became of the socket.
            long? missing = _kind == Kind.Unix && writtenBytes == sentBytes ? 0 : null;
            return new DeliveryStatus(sentBytes, IsDelivered: false, IsReset: false, missing, IsGone: true);
        }

        if (_kind == Kind.Unix)
        {
            // Of a send that the peer holds up, the kernel may have taken a part: it tells only at the send's end.
            return new DeliveryStatus(
                HashCode.Combine(sentBytes, queued),
                finSent,
                IsReset: false,
                writtenBytes == sentBytes ? 0 : null,
                IsInKernel: finSent,
                IsAllAcknowledged: isAllSent);
        }

        if (queued < 0)
        {
            return new DeliveryStatus(
                sentBytes, finSent, IsReset: false, null, IsInKernel: finSent, IsAllAcknowledged: isAllSent);
        }

        if (queued == 0)
        {
            return new DeliveryStatus(
                HashCode.Combine(sentBytes, 0, 0L),
                finSent,
                IsReset: false,
                writtenBytes - sentBytes,
                IsInKernel: finSent,
                IsAllAcknowledged: isAllSent);
        }

        // A queue that is refilled as fast as it empties keeps its length: there the total tells that it moves.
        TcpInfo info = default;
        var isReset = TryGetTcpInfo(out info) && info.State == TcpInfo.Closed;
        if (isReset && (!TryGetSendQueueLength(out queued) || queued == 0))
        {
            return GetDelivery(writtenBytes, sentBytes, finSent, isAllSent); // Closed by both FINs between the looks.
        }

        var fin = finSent ? 1 : 0;
        return new DeliveryStatus(
            HashCode.Combine(sentBytes, queued, info.AcknowledgedBytes),
            IsDelivered: false,
            isReset,
            writtenBytes - sentBytes + queued - fin,
            IsWindowClosed: info.IsWindowClosed,
            IsInKernel: finSent,
            IsOnlyFinMissing: finSent && queued == 1,
            IsAllAcknowledged: isAllSent && queued == fin);
    }

    /// <summary>Gets what the kernel tells of the connection. Only on plain TCP, while the socket is open.</summary>
    public bool TryGetTcpInfo(out TcpInfo info)
    {
        info = default;
        return _seesTcpInfo && TcpInfo.TryRead(_socket, out info);
    }

    /// <param name="length">The length of the send queue, or -1 where it cannot be trusted.</param>
    /// <returns><see langword="false"/> when this side has disposed the socket.</returns>
    public bool TryGetSendQueueLength(out int length)
    {
        length = -1;
        try
        {
            if (_kind == Kind.Other)
            {
                return !IsDisposed();
            }

            length = SendQueue.GetLength(_socket);
            return true;
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>
    /// Gets whether anybody has sent on the connection. Ask at its start, before we send. <see langword="false"/> where
    /// everything that was sent was acknowledged and the kernel does not tell of it.
    /// </summary>
    public bool HasSentBefore() =>
        (TryGetSendQueueLength(out var queued) && queued > 0) || (TryGetTcpInfo(out var info) && info.SentBytes > 0);

    /// <summary>Gets how many of the peer's bytes nobody has read from the kernel.</summary>
    /// <param name="isDead">Whether the socket cannot be asked any more, so that a read is about to fail.</param>
    public int GetUnreadLength(out bool isDead)
    {
        isDead = false;
        try
        {
            return _socket.Available;
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            isDead = true;
            return 0;
        }
    }

    /// <inheritdoc cref="GetUnreadLength(out bool)"/>
    public int GetUnreadLength() => GetUnreadLength(out _);

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
        _seesTcpInfo
            ? !TcpInfo.TryRead(_socket, out var info) || info.State == TcpInfo.Closed
            : finSent || !_socket.Connected;

    /// <summary>
    /// Gets whether the connection was reset and no FIN of the peer's came before, which Linux counts as one more
    /// received byte. <see langword="false"/> where that cannot be seen, and where somebody else has read.
    /// </summary>
    public bool IsResetBeforeFin(long seenBytes) =>
        TryGetTcpInfo(out var info) && info.State == TcpInfo.Closed && info.ReceivedBytes == seenBytes;

    /// <summary>
    /// Gets whether the kernel holds an error, such as the peer's reset, that no operation has fetched: where nothing
    /// reads and nothing sends. Asking does not fetch it. <see langword="false"/> where that cannot be seen.
    /// </summary>
    public bool HasUnnoticedReset()
    {
        try
        {
            return TryGetTcpInfo(out var info)
                && info.State == TcpInfo.Closed
                && _socket.Poll(0, SelectMode.SelectError);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            return false; // Closed at this very moment, which is noticed elsewhere.
        }
    }

    /// <summary>
    /// Makes the next close of the socket send RST, also after our FIN and whatever the transport sets.
    /// </summary>
    public void ResetOnClose()
    {
        try
        {
            // Zero only: a positive time would block the thread that disposes the socket.
            _socket.LingerState = new LingerOption(true, 0);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // Gone already: there is nothing left to reset.
        }
    }

    /// <summary>Gets whether this side has disposed the socket.</summary>
    public bool IsDisposed() => _socket.SafeHandle.IsClosed;

    private static bool IsMptcp(Socket socket)
    {
        Span<byte> protocol = stackalloc byte[sizeof(int)];
        try
        {
            return socket.GetRawSocketOption(SolSocket, SoProtocol, protocol) == sizeof(int)
                && BitConverter.ToInt32(protocol) == MptcpProtocol;
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            return false; // Such a system has no MPTCP, or there is nothing left to ask.
        }
    }
}
