using System.Net.Sockets;

namespace GracefulConnections.Transport;

/// <summary>
/// Asks the kernel how far a connection got. The one seam for what differs by platform: Linux tells TCP acknowledgements; elsewhere delivered
/// means sent, and what the peer has not acknowledged cannot be known.
/// </summary>
internal sealed class SocketProbe
{
    private readonly Socket _socket;
    private readonly Kind _kind;
    private volatile bool _started;

    // Acknowledged before our first byte, by the handshake of an outgoing connection or for another writer's bytes. Negative: such bytes were still under way.
    private long _acknowledgedBefore = -1;

    public SocketProbe(Socket socket)
    {
        _socket = socket;
        _kind = socket.AddressFamily == AddressFamily.Unix ? Kind.Unix
            : socket.ProtocolType == ProtocolType.Tcp && OperatingSystem.IsLinux() && BitConverter.IsLittleEndian ? Kind.LinuxTcp
            : Kind.Other;
    }

    private enum Kind
    {
        LinuxTcp,

        // A Unix domain socket's bytes are in the peer's queue once they are sent: sent is acknowledged.
        Unix,
        Other,
    }

    /// <summary>Gets whether it is a Unix domain socket.</summary>
    public bool IsUnix => _kind == Kind.Unix;

    /// <summary>Gets whether the peer's acknowledgements can be seen, so that delivered means delivered.</summary>
    public bool SeesAcknowledgements => _kind != Kind.Other;

    /// <summary>Call before the first byte and before our FIN, whichever comes first: acknowledgements are counted from here.</summary>
    public void Start()
    {
        if (_started)
        {
            return;
        }

        if (_kind == Kind.LinuxTcp && TcpInfo.TryRead(_socket, out var info) && !info.HasUnacknowledged)
        {
            // A handler that shut the socket down itself: our FIN was sent and acknowledged already, and must not count as before.
            var finAcknowledged = info.State is TcpInfo.FinWait2 or TcpInfo.TimeWait || (info.State == TcpInfo.Closed && info.AcknowledgedBytes > 0 && !HasError());
            _acknowledgedBefore = finAcknowledged ? info.AcknowledgedBytes - 1 : info.AcknowledgedBytes;
        }

        _started = true;
    }

    public DeliveryStatus GetDelivery(long writtenBytes, long sentBytes, bool finSent)
    {
        switch (_kind)
        {
            case Kind.Unix:
                // Of a send that the peer holds up, the kernel may have taken a part: it tells only at the send's end.
                return new DeliveryStatus(HashCode.Combine(sentBytes, SendQueue.GetLength(_socket)), finSent, IsReset: false, writtenBytes == sentBytes ? 0 : null);

            case Kind.LinuxTcp when _started && TcpInfo.TryRead(_socket, out var info):
                var finAcknowledged = finSent && info.State is TcpInfo.FinWait2 or TcpInfo.TimeWait;
                if (_acknowledgedBefore < 0)
                {
                    return new DeliveryStatus(info.AcknowledgedBytes, finAcknowledged || (finSent && info.State == TcpInfo.Closed), IsReset: false, null);
                }

                // Our FIN counts as one more byte. Before it, the peer may have acknowledged more than the sends that have ended: a part of the one under way.
                var acknowledged = info.AcknowledgedBytes - _acknowledgedBefore;
                var delivered = finAcknowledged || (finSent && acknowledged > sentBytes);

                // Closed before that is no reset if our FIN left since finSent was read, and the peer's FIN answered it. A real reset fails the send that is still to come.
                return new DeliveryStatus(acknowledged, delivered, finSent && info.State == TcpInfo.Closed && !delivered, writtenBytes - Math.Min(acknowledged, finSent ? sentBytes : writtenBytes), IsWindowClosed: info.IsWindowClosed);

            case Kind.LinuxTcp when !_started:
                return new DeliveryStatus(sentBytes, IsDelivered: false, IsReset: false, writtenBytes);

            // Without this, "cannot be seen" would read as "delivered", and an abort in the middle of a flush as a graceful end.
            case Kind.LinuxTcp when IsDisposed():
                return new DeliveryStatus(sentBytes, IsDelivered: false, IsReset: false, null, IsGone: true);

            default:
                return new DeliveryStatus(sentBytes, finSent, IsReset: false, null);
        }
    }

    /// <summary>Gets what the kernel tells of the connection. Only on TCP, on Linux, while the socket is open.</summary>
    public bool TryGetTcpInfo(out TcpInfo info)
    {
        info = default;
        return _kind == Kind.LinuxTcp && TcpInfo.TryRead(_socket, out info);
    }

    /// <summary>Gets the length of the kernel's send queue.</summary>
    public int GetSendQueueLength() => SendQueue.GetLength(_socket);

    /// <param name="seenBytes">The bytes that the reader has seen; <see langword="null"/> where a middleware between it and the socket makes other bytes of them.</param>
    public UnreadInput GetUnreadInput(long? seenBytes)
    {
        if (seenBytes is not null && _kind == Kind.LinuxTcp && TcpInfo.TryRead(_socket, out var info) && info.ReceivedBytes == seenBytes)
        {
            return UnreadInput.None;
        }

        try
        {
            return _socket.Available > 0 ? UnreadInput.Some : UnreadInput.Unknown;
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            return UnreadInput.Some; // The connection is dead, and the pending read is about to say so.
        }
    }

    /// <summary>Gets whether the peer sent more than was read, its FIN included. <see langword="false"/> where that cannot be seen.</summary>
    /// <param name="seenBytes">As with <see cref="GetUnreadInput"/>. Where they cannot be compared, only what nobody has taken from the kernel counts.</param>
    public bool HasReceivedMoreThan(long? seenBytes) =>
        TryGetTcpInfo(out var info) && (seenBytes is null ? info.State == TcpInfo.CloseWait || GetUnreadInput(null) == UnreadInput.Some : info.ReceivedBytes > seenBytes);

    /// <summary>
    /// Gets whether the kernel gave the connection up. The runtime marks a socket as not connected when an operation found it reset and when it is
    /// disposed, and Linux tells more: a reset after the peer's FIN, which no pending operation would notice.
    /// </summary>
    public bool IsOver(bool finSent)
    {
        if (_kind == Kind.LinuxTcp)
        {
            return !TcpInfo.TryRead(_socket, out var info) || info.State == TcpInfo.Closed;
        }

        return finSent || !_socket.Connected;
    }

    /// <summary>
    /// Gets whether the connection was reset and no FIN of the peer's came before, which Linux counts as one more received byte. <see langword="false"/> where that cannot be seen.
    /// </summary>
    public bool IsResetBeforeFin(long seenBytes) =>
        _kind == Kind.LinuxTcp && TcpInfo.TryRead(_socket, out var info) && info.State == TcpInfo.Closed && info.ReceivedBytes <= seenBytes;

    /// <summary>
    /// Gets whether the kernel holds an error, such as the peer's reset, that no operation has fetched: where nothing reads and nothing sends. Asking does not fetch it.
    /// <see langword="false"/> where that cannot be seen.
    /// </summary>
    public bool HasUnnoticedReset()
    {
        try
        {
            return _kind == Kind.LinuxTcp && TcpInfo.TryRead(_socket, out var info) && info.State == TcpInfo.Closed && _socket.Poll(0, SelectMode.SelectError);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            return false; // Closed at this very moment, which is noticed elsewhere.
        }
    }

    /// <summary>Makes the next close of the socket send RST, also after our FIN and whatever the transport's own settings say.</summary>
    public void ResetOnClose()
    {
        try
        {
            _socket.LingerState = new LingerOption(true, 0); // Zero only: a positive time would block the thread that disposes the socket.
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // Gone already: there is nothing left to reset.
        }
    }

    // Closed and an error that no operation has fetched: the peer's reset.
    private bool HasError()
    {
        try
        {
            return _socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error) is not 0;
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            return true;
        }
    }

    /// <summary>Gets whether this side has disposed the socket.</summary>
    public bool IsDisposed()
    {
        try
        {
            return _socket.Available < 0;
        }
        catch (ObjectDisposedException)
        {
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
