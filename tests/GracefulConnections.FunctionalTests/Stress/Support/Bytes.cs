using System.Buffers;

namespace GracefulConnections.FunctionalTests.Stress.Support;

/// <summary>The bytes that both ends send: no window of them looks like a neighbouring one, so a lost, doubled or swapped byte shows.</summary>
internal static class Bytes
{
    private static readonly byte[] All = Make(12 * 1024 * 1024);

    public static ReadOnlyMemory<byte> At(long offset, int length) => All.AsMemory((int)offset, length);

    public static bool Match(long offset, ReadOnlySpan<byte> received) => offset + received.Length <= All.Length && received.SequenceEqual(All.AsSpan((int)offset, received.Length));

    public static bool Match(long offset, in ReadOnlySequence<byte> received)
    {
        foreach (var part in received)
        {
            if (!Match(offset, part.Span))
            {
                return false;
            }

            offset += part.Length;
        }

        return true;
    }

    private static byte[] Make(int length)
    {
        var bytes = new byte[length];
        new Random(14937).NextBytes(bytes);
        return bytes;
    }
}
