using System.Buffers.Binary;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>One TCP segment as it was on the wire.</summary>
/// <param name="SourcePort">Who sent it.</param>
/// <param name="DestinationPort">Whom it was sent to.</param>
/// <param name="Sequence">The number of its first byte, or of its FIN.</param>
/// <param name="Flags">The flags of RFC 9293, section 3.1.</param>
/// <param name="PayloadBytes">The data it carries.</param>
internal readonly record struct Segment(int SourcePort, int DestinationPort, uint Sequence, byte Flags, int PayloadBytes)
{
    private const int EthernetHeaderBytes = 14; // Linux gives loopback frames one, all zero but the type.
    private const int IPv4 = 0x0800;
    private const int Tcp = 6;

    public bool IsFin => (Flags & 0x01) != 0;

    public bool IsReset => (Flags & 0x04) != 0;

    /// <summary>Reads a captured Ethernet frame, of which the data may have been cut off.</summary>
    /// <returns><see langword="null"/> if it is not TCP over IPv4.</returns>
    public static Segment? TryParse(ReadOnlySpan<byte> frame)
    {
        if (frame.Length < EthernetHeaderBytes || BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) != IPv4)
        {
            return null;
        }

        var ip = frame[EthernetHeaderBytes..];
        if (ip[9] != Tcp)
        {
            return null;
        }

        var ipHeaderBytes = (ip[0] & 0x0F) * 4;
        var totalBytes = BinaryPrimitives.ReadUInt16BigEndian(ip[2..]);
        var tcp = ip[ipHeaderBytes..];
        var tcpHeaderBytes = (tcp[12] >> 4) * 4;
        return new Segment(
            BinaryPrimitives.ReadUInt16BigEndian(tcp),
            BinaryPrimitives.ReadUInt16BigEndian(tcp[2..]),
            BinaryPrimitives.ReadUInt32BigEndian(tcp[4..]),
            tcp[13],
            totalBytes - ipHeaderBytes - tcpHeaderBytes);
    }
}
