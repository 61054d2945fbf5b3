using System.Buffers;
using System.IO.Pipelines;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>The bytes that both ends write: no window of them looks like a neighbouring one, so a lost, doubled or swapped byte shows.</summary>
internal static class Pattern
{
    private static readonly byte[] Bytes = Make(256 * 1024);

    public static ReadOnlyMemory<byte> At(long offset, int length) => Bytes.AsMemory((int)offset, length);

    public static Pending<FlushResult> Write(PipeWriter output, long offset, int length) => new(output.WriteAsync(At(offset, length)));

    public static Pending<ReadResult> Read(PipeReader input) => new(input.ReadAsync());

    public static bool Matches(long offset, in ReadOnlySequence<byte> received)
    {
        foreach (var part in received)
        {
            if (offset + part.Length > Bytes.Length || !part.Span.SequenceEqual(Bytes.AsSpan((int)offset, part.Length)))
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
        new Random(4703).NextBytes(bytes);
        return bytes;
    }
}
