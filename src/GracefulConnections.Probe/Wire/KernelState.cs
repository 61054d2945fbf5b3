using System.Buffers.Binary;
using System.Net.Sockets;

namespace GracefulConnections.Probe.Wire;

/// <summary>What the probe's own kernel knows of a connection: TCP_INFO of Linux.</summary>
/// <param name="IsClosed">
/// Whether the connection is gone for the kernel. Before the probe's FIN, only an RST or a timeout does that.
/// </param>
/// <param name="IsDelivered">Whether the server's kernel acknowledged everything that the probe sent.</param>
/// <param name="RoundTrip">The smoothed round trip time.</param>
internal readonly record struct KernelState(bool IsClosed, bool IsDelivered, TimeSpan RoundTrip)
{
    // Linux: include/uapi/linux/tcp.h, struct tcp_info.
    private const int TcpLevel = 6;
    private const int TcpInfo = 11;
    private const int UnackedOffset = 24;
    private const int RoundTripOffset = 68;
    private const int NotSentOffset = 144;
    private const int LeastBytes = NotSentOffset + sizeof(uint);
    private const byte Close = 7;

    /// <summary>Asks the kernel.</summary>
    /// <returns><see langword="null"/> where the kernel does not tell: other systems than Linux, and some
    /// sandboxes.</returns>
    public static KernelState? TryRead(Socket socket)
    {
        if (!OperatingSystem.IsLinux())
        {
            return null;
        }

        Span<byte> info = stackalloc byte[256];
        try
        {
            var bytes = socket.GetRawSocketOption(TcpLevel, TcpInfo, info);
            if (bytes < LeastBytes)
            {
                return null;
            }
        }
        catch (SocketException)
        {
            return null;
        }

        var unacked = BinaryPrimitives.ReadUInt32LittleEndian(info[UnackedOffset..]);
        var notSent = BinaryPrimitives.ReadUInt32LittleEndian(info[NotSentOffset..]);
        var roundTripUs = BinaryPrimitives.ReadUInt32LittleEndian(info[RoundTripOffset..]);
        return new KernelState(info[0] == Close, unacked == 0 && notSent == 0, TimeSpan.FromMicroseconds(roundTripUs));
    }
}
