using System.Buffers;
using System.Collections.Concurrent;

namespace GracefulConnections.Tests.Support;

/// <summary>Poisons what comes back, never hands it out again, and tells whether somebody wrote to it afterwards.</summary>
internal sealed class PoisonPool : MemoryPool<byte>
{
    public const byte Poison = 0xDD;

    private const int BlockBytes = 4096;
    private readonly ConcurrentQueue<byte[]> _returned = new();
    private int _rented;
    private int _returnedTwice;

    public override int MaxBufferSize => BlockBytes;

    public int Rented => Volatile.Read(ref _rented);

    public int Returned => _returned.Count;

    /// <summary>Fails when a block was written to after it came back, or came back twice.</summary>
    public void AssertClean()
    {
        Assert.Equal(0, Volatile.Read(ref _returnedTwice));
        Assert.DoesNotContain(_returned, block => block.AsSpan().ContainsAnyExcept(Poison));
    }

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        Interlocked.Increment(ref _rented);
        return new Block(this);
    }

    protected override void Dispose(bool disposing)
    {
    }

    private sealed class Block(PoisonPool pool) : IMemoryOwner<byte>
    {
        private readonly byte[] _bytes = new byte[BlockBytes];
        private int _isReturned;

        public Memory<byte> Memory => _bytes;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _isReturned, 1) != 0)
            {
                Interlocked.Increment(ref pool._returnedTwice);
                return;
            }

            _bytes.AsSpan().Fill(Poison);
            pool._returned.Enqueue(_bytes);
        }
    }
}
