using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Connections;

namespace TcpProxy;

/// <summary>Tells the upstream who the peer is, by HAProxy's PROXY protocol (version 1 is text, 2 is binary).</summary>
internal static class ProxyHeader
{
    private static ReadOnlySpan<byte> Signature => "\r\n\r\n\0\r\nQUIT\n"u8;

    public static void Write(int version, ConnectionContext peer, IBufferWriter<byte> output)
    {
        var (from, to) = (peer.RemoteEndPoint as IPEndPoint, peer.LocalEndPoint as IPEndPoint);
        switch (version)
        {
            case 1 when from is null || to is null:
                output.Write("PROXY UNKNOWN\r\n"u8);
                break;
            case 1:
                var family = from.Address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork ? "TCP4" : "TCP6";
                output.Write(Encoding.ASCII.GetBytes($"PROXY {family} {from.Address} {to.Address} {from.Port} {to.Port}\r\n"));
                break;
            case 2:
                output.Write(Signature);
                output.Write(from is null || to is null ? [0x20, 0, 0, 0] : Addresses(from, to)); // 0x20: LOCAL, no addresses.
                break;
        }
    }

    private static byte[] Addresses(IPEndPoint from, IPEndPoint to)
    {
        var (source, target) = (from.Address.GetAddressBytes(), to.Address.GetAddressBytes());
        var length = (2 * source.Length) + 4;
        byte[] header = [0x21, (byte)(source.Length == 4 ? 0x11 : 0x21), 0, (byte)length, .. source, .. target, 0, 0, 0, 0];
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(^4), (ushort)from.Port);
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(^2), (ushort)to.Port);
        return header;
    }
}
