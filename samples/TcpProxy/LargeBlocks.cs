using System.Buffers;
using Microsoft.AspNetCore.Connections;

namespace TcpProxy;

/// <summary>The server's memory in blocks of 64 KiB, so that a busy connection needs few system calls.</summary>
internal sealed class LargeBlocks : MemoryPool<byte>, IMemoryPoolFactory<byte>
{
    private const int BlockBytes = 64 * 1024;
    private const int MostKept = 1024; // 64 MiB: what a burst needed beyond that goes back to the process.

    private readonly Stack<Block> _free = []; // The last one first, because the processor's cache still has it.

    public override int MaxBufferSize => BlockBytes;

    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => this;

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        lock (_free)
        {
            return _free.TryPop(out var block) ? block : new Block(_free);
        }
    }

    protected override void Dispose(bool disposing)
    {
    }

    private sealed class Block(Stack<Block> free) : IMemoryOwner<byte>
    {
        public Memory<byte> Memory { get; } = GC.AllocateUninitializedArray<byte>(BlockBytes, pinned: true);

        public void Dispose()
        {
            lock (free)
            {
                if (free.Count < MostKept)
                {
                    free.Push(this);
                }
            }
        }
    }
}
