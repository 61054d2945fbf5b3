using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Connections;

namespace TcpProxy;

/// <summary>Tells the upstream who the peer is, by HAProxy's PROXY protocol (version 1 is text, 2 is binary).</summary>
internal static class ProxyHeader
{
    public static void Write(int version, ConnectionContext peer, IBufferWriter<byte> output)
    {
        var (from, to) = (peer.RemoteEndPoint as IPEndPoint, peer.LocalEndPoint as IPEndPoint);
        var isKnown = from is not null && to is not null;
        switch (version)
        {
            case 1:
                var family = from?.Address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork ? "TCP4" : "TCP6";
                output.Write(Encoding.ASCII.GetBytes(isKnown ? $"PROXY {family} {from!.Address} {to!.Address} {from.Port} {to.Port}\r\n" : "PROXY UNKNOWN\r\n"));
                break;
            case 2:
                output.Write("\r\n\r\n\0\r\nQUIT\n"u8);
                output.Write(isKnown ? Addresses(from!, to!) : [0x20, 0, 0, 0]); // 0x20: LOCAL, no addresses.
                break;
        }
    }

    private static byte[] Addresses(IPEndPoint from, IPEndPoint to)
    {
        var (source, target) = (from.Address.GetAddressBytes(), to.Address.GetAddressBytes());
        byte[] header = [0x21, (byte)(source.Length == 4 ? 0x11 : 0x21), 0, (byte)((2 * source.Length) + 4), .. source, .. target, 0, 0, 0, 0];
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(^4), (ushort)from.Port);
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(^2), (ushort)to.Port);
        return header;
    }
}
