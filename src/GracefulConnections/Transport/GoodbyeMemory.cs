using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Transport;

/// <summary>
/// What is written during a goodbye until it is flushed. The goodbye may be given up while it still writes, and a
/// writer of the handler's may run beside it. So each has memory of its own, and neither meets what the other fills.
/// </summary>
internal sealed class GoodbyeMemory : IBufferWriter<byte>
{
    private static readonly AsyncLocal<GoodbyeMemory?> Speaking = new();

    private readonly Lock _lock = new();
    private readonly ArrayBufferWriter<byte> _said = new();
    private readonly ArrayBufferWriter<byte> _others = new();
    private readonly ConcurrentQueue<byte[]> _apart = new();
    private int _apartSent; // Of the first of them.
    private volatile bool _isLent; // To the others.
    private bool _isClosed;

    public int WrittenCount => Own.WrittenCount;

    private bool IsSpeaking => Speaking.Value == this;

    private ArrayBufferWriter<byte> Own => IsSpeaking ? _said : _others;

    /// <summary>Whatever the caller does and starts from now on is the goodbye.</summary>
    public void Begin() => Speaking.Value = this;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        _isLent |= !IsSpeaking;
        return Own.GetMemory(sizeHint);
    }

    public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    /// <exception cref="ObjectDisposedException">The memory was got before the goodbye began.</exception>
    public void Advance(int count)
    {
        ObjectDisposedException.ThrowIf(count > 0 && !IsSpeaking && !_isLent, typeof(PipeWriter));
        Own.Advance(count);
    }

    /// <summary>Moves on what the caller wrote, or what everybody did, and counts it.</summary>
    /// <param name="writer">
    /// Where it goes; <see langword="null"/> if a writer may still fill the block at its head. Then it is sent from
    /// memory apart.
    /// </param>
    /// <param name="all">Whether what others wrote goes too.</param>
    /// <param name="writtenBytes">The count.</param>
    /// <exception cref="ObjectDisposedException">The output has ended.</exception>
    public void MoveTo(IBufferWriter<byte>? writer, bool all, ref long writtenBytes)
    {
        Interleaving.Point();
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isClosed, typeof(PipeWriter));
            Move(Own, writer, ref writtenBytes);
            if (all)
            {
                Move(_others, writer, ref writtenBytes);
            }
        }
    }

    /// <summary>What was not moved by now never is.</summary>
    public void Close()
    {
        Interleaving.Point();
        lock (_lock)
        {
            _isClosed = true;
        }
    }

    /// <summary>Returns what is to be sent next of the memory apart, behind everything else.</summary>
    public ReadOnlySequence<byte> PeekApart() => _apart.TryPeek(out var bytes)
        ? new ReadOnlySequence<byte>(bytes, _apartSent, bytes.Length - _apartSent)
        : default;

    public void TakeApart(long count)
    {
        _apartSent += (int)count;
        if (_apart.TryPeek(out var bytes) && _apartSent == bytes.Length)
        {
            _apart.TryDequeue(out _);
            _apartSent = 0;
        }
    }

    private void Move(ArrayBufferWriter<byte> from, IBufferWriter<byte>? to, ref long writtenBytes)
    {
        var count = from.WrittenCount;
        if (count == 0)
        {
            return;
        }

        if (to is null)
        {
            _apart.Enqueue(from.WrittenSpan.ToArray());
        }
        else
        {
            to.Write(from.WrittenSpan);
        }

        Volatile.Write(ref writtenBytes, writtenBytes + count);
        from.Clear();
    }
}
