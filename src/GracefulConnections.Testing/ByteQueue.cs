using System.Buffers;

namespace GracefulConnections.Testing;

/// <summary>Bytes in the order in which they came.</summary>
internal sealed class ByteQueue
{
    private byte[] _bytes = [];
    private int _first;

    public int Count { get; private set; }

    public void Add(in ReadOnlySequence<byte> bytes)
    {
        var added = checked((int)bytes.Length);
        if (_first + Count + added > _bytes.Length)
        {
            var larger = new byte[Math.Max(2 * Count, Count + added)];
            _bytes.AsSpan(_first, Count).CopyTo(larger);
            (_bytes, _first) = (larger, 0);
        }

        bytes.CopyTo(_bytes.AsSpan(_first + Count));
        Count += added;
    }

    /// <summary>Takes from the front. What is returned is valid until something is added.</summary>
    public ReadOnlyMemory<byte> Take(int count)
    {
        var taken = _bytes.AsMemory(_first, count);
        Count -= count;
        _first = Count == 0 ? 0 : _first + count;
        return taken;
    }

    public void Clear() => Take(Count);
}
