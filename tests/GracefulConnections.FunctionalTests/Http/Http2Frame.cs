namespace GracefulConnections.FunctionalTests.Http;

/// <summary>A frame of HTTP/2 (RFC 9113, section 4.1).</summary>
internal sealed record Http2Frame(byte Type, byte Flags, int StreamId, byte[] Payload)
{
    public const byte Data = 0;
    public const byte Headers = 1;
    public const byte ResetStream = 3;
    public const byte Settings = 4;
    public const byte Ping = 6;
    public const byte GoAway = 7;
    public const byte WindowUpdate = 8;

    public const byte Acknowledgement = 0x1;
    public const byte EndStream = 0x1;
    public const byte EndHeaders = 0x4;

    public const int HeadBytes = 9;

    public bool EndsStream => Type is Data or Headers && (Flags & EndStream) != 0;
}
