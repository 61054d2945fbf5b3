using System.Buffers.Binary;
using System.Net.Sockets;

namespace GracefulConnections.Transport;

/// <summary>What Linux tells of a TCP connection (struct tcp_info in linux/tcp.h).</summary>
internal readonly record struct TcpInfo(byte State, bool HasUnacknowledged, long AcknowledgedBytes, long ReceivedBytes, TimeSpan SinceReceived, bool IsWindowClosed)
{
    public const byte FinWait2 = 5;
    public const byte TimeWait = 6;
    public const byte Closed = 7;
    public const byte CloseWait = 8;

    private const int IpProtoTcp = 6;
    private const int TcpInfoOption = 11;
    private const int UnackedOffset = 24;
    private const int LastDataReceivedOffset = 52;
    private const int BytesAckedOffset = 120;
    private const int BytesReceivedOffset = 128;
    private const int NotSentOffset = 144;
    private const int SendWindowOffset = 228;
    private const int Length = 148; // Linux 4.6 and later.
    private const int LengthWithSendWindow = 232; // Linux 5.4 and later.

    /// <returns><see langword="false"/> where the kernel does not tell, or the socket is disposed.</returns>
    public static bool TryRead(Socket socket, out TcpInfo info)
    {
        info = default;
        Span<byte> raw = stackalloc byte[LengthWithSendWindow];
        int length;
        try
        {
            length = socket.GetRawSocketOption(IpProtoTcp, TcpInfoOption, raw);
            if (length < Length)
            {
                return false;
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            return false;
        }

        info = new TcpInfo(
            raw[0],
            BinaryPrimitives.ReadUInt32LittleEndian(raw[UnackedOffset..]) != 0 || BinaryPrimitives.ReadUInt32LittleEndian(raw[NotSentOffset..]) != 0,
            BinaryPrimitives.ReadInt64LittleEndian(raw[BytesAckedOffset..]),
            BinaryPrimitives.ReadInt64LittleEndian(raw[BytesReceivedOffset..]),
            TimeSpan.FromMilliseconds(BinaryPrimitives.ReadUInt32LittleEndian(raw[LastDataReceivedOffset..])),
            length >= LengthWithSendWindow && BinaryPrimitives.ReadUInt32LittleEndian(raw[SendWindowOffset..]) == 0);
        return true;
    }
}
