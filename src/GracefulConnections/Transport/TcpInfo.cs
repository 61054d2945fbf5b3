using System.Buffers.Binary;
using System.Net.Sockets;

namespace GracefulConnections.Transport;

/// <summary>What Linux tells of a TCP connection (struct tcp_info in linux/tcp.h).</summary>
internal readonly record struct TcpInfo(
    byte State,
    long AcknowledgedBytes,
    long ReceivedBytes,
    long SentBytes,
    TimeSpan SinceReceived,
    bool IsWindowClosed)
{
    public const byte Established = 1;
    public const byte FinWait1 = 4;
    public const byte FinWait2 = 5;
    public const byte Closed = 7;
    public const byte CloseWait = 8;

    private const int IpProtoTcp = 6;
    private const int TcpInfoOption = 11;
    private const int LastDataReceivedOffset = 52;
    private const int BytesAckedOffset = 120;
    private const int BytesReceivedOffset = 128;
    private const int BytesSentOffset = 200;
    private const int SendWindowOffset = 228;
    private const int Length = 136; // Linux 4.1 and later.
    private const int LengthWithBytesSent = 208; // Linux 4.19 and later.
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
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException or PlatformNotSupportedException)
        {
            return false;
        }

        if (length < Length)
        {
            return false;
        }

        var acknowledged = ReadInt64(raw, BytesAckedOffset);
        info = new TcpInfo(
            raw[0],
            acknowledged,
            ReadInt64(raw, BytesReceivedOffset),
            length >= LengthWithBytesSent ? ReadInt64(raw, BytesSentOffset) : Math.Max(0, acknowledged - 1), // Without the SYN.
            TimeSpan.FromMilliseconds(ReadUInt32(raw, LastDataReceivedOffset)),
            length >= LengthWithSendWindow && ReadUInt32(raw, SendWindowOffset) == 0);
        return true;
    }

    // The struct is in the machine's own byte order.
    private static long ReadInt64(ReadOnlySpan<byte> raw, int offset) =>
        BitConverter.IsLittleEndian
            ? BinaryPrimitives.ReadInt64LittleEndian(raw[offset..])
            : BinaryPrimitives.ReadInt64BigEndian(raw[offset..]);

    private static uint ReadUInt32(ReadOnlySpan<byte> raw, int offset) =>
        BitConverter.IsLittleEndian
            ? BinaryPrimitives.ReadUInt32LittleEndian(raw[offset..])
            : BinaryPrimitives.ReadUInt32BigEndian(raw[offset..]);
}
