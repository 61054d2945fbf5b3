using System.Buffers.Binary;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>The records that TLS is made of on the wire: RFC 8446, section 5.1.</summary>
internal static class TlsRecords
{
    private const int HeaderBytes = 5;
    private const int MaxContentBytes = (1 << 14) + 2048; // As TLS 1.2 allows; 1.3 allows less.
    private const int LargestOfHandshake = 2048; // The certificate's has half of it.
    private const byte ChangeCipherSpec = 20;
    private const byte ApplicationData = 23;

    /// <summary>Asserts that there is nothing but whole records. The last one may be incomplete where the connection was cut off.</summary>
    public static void AssertNothingElse(ReadOnlySpan<byte> bytes, bool wasCutOff)
    {
        for (var position = 0; position < bytes.Length;)
        {
            var rest = bytes[position..];
            Assert.InRange(rest[0], ChangeCipherSpec, ApplicationData);
            if (rest.Length >= HeaderBytes)
            {
                Assert.Equal(3, rest[1]);
                Assert.InRange(rest[2], 0, 4);
                var contentBytes = BinaryPrimitives.ReadUInt16BigEndian(rest[3..]);
                Assert.InRange(contentBytes, 1, MaxContentBytes);
                position += HeaderBytes + contentBytes;
            }
            else
            {
                position += HeaderBytes;
            }

            Assert.True(position <= bytes.Length || wasCutOff, $"The last of {bytes.Length} bytes are a part of a record only.");
        }
    }

    /// <summary>Counts the records that hold more than any of the handshake does.</summary>
    public static int CountLarge(ReadOnlySpan<byte> bytes)
    {
        var count = 0;
        while (bytes.Length > HeaderBytes)
        {
            var contentBytes = BinaryPrimitives.ReadUInt16BigEndian(bytes[3..]);
            count += contentBytes > LargestOfHandshake ? 1 : 0;
            bytes = bytes[(HeaderBytes + contentBytes)..];
        }

        return count;
    }
}
