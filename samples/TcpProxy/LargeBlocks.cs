using System.Buffers;
using System.Collections.Concurrent;
using Microsoft.AspNetCore.Connections;

namespace TcpProxy;

/// <summary>The server's memory in blocks of 64 KiB, so that a busy connection needs few system calls.</summary>
internal sealed class LargeBlocks : IMemoryPoolFactory<byte>
{
    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => new Pool();

    private sealed class Pool : MemoryPool<byte>
    {
        private const int BlockBytes = 64 * 1024;
        private const int MostKept = 1024; // 64 MiB: what a burst needed beyond that goes back to the process.

        private readonly ConcurrentQueue<Block> _free = new();

        public override int MaxBufferSize => BlockBytes;

        public override IMemoryOwner<byte> Rent(int minBufferSize = -1) =>
            minBufferSize > BlockBytes ? throw new ArgumentOutOfRangeException(nameof(minBufferSize))
            : _free.TryDequeue(out var block) ? block
            : new Block(_free);

        protected override void Dispose(bool disposing) => _free.Clear();

        private sealed class Block(ConcurrentQueue<Block> free) : IMemoryOwner<byte>
        {
            public Memory<byte> Memory { get; } = GC.AllocateUninitializedArray<byte>(BlockBytes, pinned: true);

            public void Dispose()
            {
                if (free.Count < MostKept)
                {
                    free.Enqueue(this);
                }
            }
        }
    }
}
