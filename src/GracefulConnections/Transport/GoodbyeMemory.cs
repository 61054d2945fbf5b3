using System.Buffers;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Transport;

/// <summary>
/// What a goodbye writes until it flushes. It may be given up while it still writes, so its memory is nobody else's,
/// and the end of the output never comes in the middle of a copy.
/// </summary>
internal sealed class GoodbyeMemory : IBufferWriter<byte>
{
    private readonly Lock _lock = new();
    private readonly ArrayBufferWriter<byte> _buffer = new();
    private bool _isClosed;

    public int WrittenCount => _buffer.WrittenCount;

    public void Advance(int count) => _buffer.Advance(count);

    public Memory<byte> GetMemory(int sizeHint = 0) => _buffer.GetMemory(sizeHint);

    public Span<byte> GetSpan(int sizeHint = 0) => _buffer.GetSpan(sizeHint);

    /// <summary>Copies what was written, and counts it.</summary>
    /// <exception cref="ObjectDisposedException">The output has ended.</exception>
    public void MoveTo(IBufferWriter<byte> writer, ref long writtenBytes)
    {
        Interleaving.Point();
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isClosed, typeof(System.IO.Pipelines.PipeWriter));
            if (_buffer.WrittenCount > 0)
            {
                writer.Write(_buffer.WrittenSpan);
                Volatile.Write(ref writtenBytes, writtenBytes + _buffer.WrittenCount);
                _buffer.Clear();
            }
        }
    }

    /// <summary>What was not copied by now never is.</summary>
    public void Close()
    {
        Interleaving.Point();
        lock (_lock)
        {
            _isClosed = true;
        }
    }
}
