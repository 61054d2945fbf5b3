using System.Buffers;

namespace GracefulConnections.Transport;

/// <summary>Where in a buffer a position is that the handler gave, which need not be of that buffer.</summary>
internal static class BufferOffset
{
    /// <summary>
    /// Returns the bytes before <paramref name="position"/>, and never throws: that is up to the transport's reader.
    /// </summary>
    public static long Get(in ReadOnlySequence<byte> buffer, SequencePosition position)
    {
        if (position.Equals(buffer.End))
        {
            return buffer.Length;
        }

        var start = buffer.Start;
        var offset = (long)position.GetInteger() - start.GetInteger();
        if (!ReferenceEquals(position.GetObject(), start.GetObject()))
        {
            if (position.GetObject() is not ReadOnlySequenceSegment<byte> segment
                || start.GetObject() is not ReadOnlySequenceSegment<byte> first)
            {
                return 0;
            }

            offset += segment.RunningIndex - first.RunningIndex;
        }

        return Math.Clamp(offset, 0, buffer.Length);
    }
}
