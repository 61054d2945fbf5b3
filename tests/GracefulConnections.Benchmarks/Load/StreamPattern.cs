namespace GracefulConnections.Benchmarks.Load;

/// <summary>What a stream carries: random bytes that repeat after a prime number, so that a lost, doubled or swapped block of any buffer's size shows.</summary>
internal static class StreamPattern
{
    private const int Period = 65_537;

    private static readonly byte[] Bytes = Create();

    /// <summary>Returns as many bytes as are at hand of what belongs at <paramref name="position"/> of a stream.</summary>
    public static ReadOnlySpan<byte> At(long position) => Bytes.AsSpan((int)(position % Period), Period);

    /// <exception cref="InvalidDataException">Something else was received.</exception>
    public static void Verify(long position, ReadOnlySpan<byte> received)
    {
        while (received.Length > 0)
        {
            var expected = At(position);
            var length = Math.Min(expected.Length, received.Length);
            if (!received[..length].SequenceEqual(expected[..length]))
            {
                throw new InvalidDataException($"The bytes from {position} on differ from what was sent.");
            }

            position += length;
            received = received[length..];
        }
    }

    // Twice, so that a whole period follows every position.
    private static byte[] Create()
    {
        var bytes = new byte[2 * Period];
        Random.Shared.NextBytes(bytes.AsSpan(0, Period));
        bytes.AsSpan(0, Period).CopyTo(bytes.AsSpan(Period));
        return bytes;
    }
}
