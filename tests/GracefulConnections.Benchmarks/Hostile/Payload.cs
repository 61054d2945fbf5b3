using System.Buffers;
using GracefulConnections.Testing;

namespace GracefulConnections.Benchmarks.Hostile;

/// <summary>
/// What both sides of a hostile connection write: each byte follows from its position, and none has its highest bit
/// set, as what nobody may send has.
/// </summary>
internal static class Payload
{
    /// <summary>What a handler writes to memory that it never gives to be sent.</summary>
    public const byte Junk = 0xAA;

    private const int Period = 127; // Prime, so that no offset by blocks looks right.
    private const int MostAtOnce = 1024 * 1024;

    private static readonly byte[] Bytes = [.. Enumerable.Range(0, Period + MostAtOnce).Select(static i => (byte)(i % Period))];

    /// <summary>Returns <paramref name="count"/> bytes of a stream from <paramref name="position"/> on.</summary>
    public static ReadOnlyMemory<byte> At(long position, int count) => Bytes.AsMemory((int)(position % Period), count);

    /// <summary>Returns whether these are the bytes at <paramref name="position"/>.</summary>
    public static bool IsAt(long position, ReadOnlySpan<byte> bytes) =>
        bytes.SequenceEqual(At(position, bytes.Length).Span);

    /// <inheritdoc cref="IsAt(long, ReadOnlySpan{byte})"/>
    public static bool IsAt(long position, ReadOnlySequence<byte> bytes)
    {
        foreach (var segment in bytes)
        {
            if (!IsAt(position, segment.Span))
            {
                return false;
            }

            position += segment.Length;
        }

        return true;
    }

    /// <summary>Returns whether bytes hold what was in memory that the sender had no right to send.</summary>
    public static bool IsPoisoned(ReadOnlySpan<byte> bytes) =>
        bytes.ContainsAny(PoisoningMemoryPool.PoisonByte, PoisoningMemoryPool.RentedByte, Junk);
}
