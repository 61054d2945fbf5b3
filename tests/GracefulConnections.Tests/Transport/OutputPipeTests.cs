using System.Buffers;
using System.IO.Pipelines;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>A flush waits where the server's own would, and takes memory from the pool of its connection.</summary>
public sealed class OutputPipeTests : IDisposable
{
    private readonly PoisoningMemoryPool _pool = new();

    public void Dispose() => _pool.Dispose();

    [Theory]
    [InlineData(0, 1_000_000, 1_000_000)]
    [InlineData(1, 0, 1)]
    [InlineData(1000, 999, 1000)]
    [InlineData(300_000, 299_999, 300_000)]
    public async Task Create_ServersWriter_WaitsAtTheSameNumberOfBytes(int limit, int below, int at)
    {
        var server = new Pipe(new PipeOptions(_pool, pauseWriterThreshold: limit, resumeWriterThreshold: limit / 2));

        for (var i = 0; i < 2; i++)
        {
            var sut = OutputPipe.Create(_pool, server.Writer, out _);
            Assert.True(sut.Writer.WriteAsync(new byte[below]).AsTask().IsCompleted);
            var flush = sut.Writer.WriteAsync(new byte[at - below]).AsTask();

            Assert.Equal(limit == 0, flush.IsCompleted);

            sut.Reader.TryRead(out var read);
            sut.Reader.AdvanceTo(read.Buffer.End);
            Assert.False((await flush.WithinLimit()).IsCompleted);
            sut.Writer.Complete();
            sut.Reader.Complete();
        }

        Assert.True(_pool.RentedCount > 0);
        Assert.Equal(_pool.RentedCount, _pool.ReturnedCount);
    }

    [Fact]
    public void Create_ConnectionHasAnotherPoolThanTheServersWriter_UsesThatPool()
    {
        using var other = new PoisoningMemoryPool();
        var server = new Pipe(new PipeOptions(other, pauseWriterThreshold: 10, resumeWriterThreshold: 5));
        OutputPipe.Create(other, server.Writer, out _);

        var sut = OutputPipe.Create(_pool, server.Writer, out _);

        Assert.False(sut.Writer.WriteAsync(new byte[10]).AsTask().IsCompleted);
        Assert.Equal((1, 0), (_pool.RentedCount, other.RentedCount));
        sut.Writer.Complete();
        sut.Reader.Complete();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Create_ServersWriter_TellsWhetherTheServerSendsInline(bool isInline)
    {
        var server = new Pipe(new PipeOptions(_pool, isInline ? PipeScheduler.Inline : PipeScheduler.ThreadPool));

        var sut = OutputPipe.Create(_pool, server.Writer, out var sendsInline);

        Assert.Equal(isInline, sendsInline);
        sut.Writer.Complete();
        sut.Reader.Complete();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Create_ServersWriter_FlushGoesOnOnTheSameScheduler(bool isInline)
    {
        var server = new Pipe(new PipeOptions(
            _pool, writerScheduler: isInline ? PipeScheduler.Inline : PipeScheduler.ThreadPool, pauseWriterThreshold: 1, resumeWriterThreshold: 1));
        var sut = OutputPipe.Create(_pool, server.Writer, out _);
        var flush = sut.Writer.WriteAsync(new byte[1]);
        var goesOnInside = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        var reader = 0;
        flush.ConfigureAwait(true).GetAwaiter().UnsafeOnCompleted(
            () => goesOnInside.SetResult(Volatile.Read(ref reader) == Environment.CurrentManagedThreadId));

        Assert.True(sut.Reader.TryRead(out var read));
        Volatile.Write(ref reader, Environment.CurrentManagedThreadId);
        sut.Reader.AdvanceTo(read.Buffer.End);
        Volatile.Write(ref reader, 0);

        Assert.Equal(isInline, await goesOnInside.Task.WithinLimit());
        sut.Writer.Complete();
        sut.Reader.Complete();
    }

    [Fact]
    public void Create_AnotherWriter_WaitsAtKestrelsDefault()
    {
        var sut = OutputPipe.Create(_pool, PipeWriter.Create(Stream.Null), out var sendsInline);

        Assert.False(sendsInline);
        Assert.True(sut.Writer.WriteAsync(new byte[65_535]).AsTask().IsCompleted);
        Assert.False(sut.Writer.WriteAsync(new byte[1]).AsTask().IsCompleted);
        sut.Writer.Complete();
        sut.Reader.Complete();
    }

    [Fact]
    public async Task CreateForTls_AnyByte_WaitsUntilItIsTaken()
    {
        var sut = OutputPipe.CreateForTls(_pool);
        var flush = sut.Writer.WriteAsync(new byte[2]).AsTask();
        sut.Reader.TryRead(out var read);
        sut.Reader.AdvanceTo(read.Buffer.GetPosition(1));
        Assert.False(flush.IsCompleted);

        sut.Reader.TryRead(out read);
        sut.Reader.AdvanceTo(read.Buffer.End);

        Assert.False((await flush.WithinLimit()).IsCompleted);
        sut.Writer.Complete();
        sut.Reader.Complete();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void CreateForTls_LargeWrite_IsInBlocksOfARecord(bool hasPoolSoLarge)
    {
        const int Record = 16 * 1024;
        using var small = new SmallBlocks();
        var sut = OutputPipe.CreateForTls(hasPoolSoLarge ? _pool : small);

        Assert.False(sut.Writer.WriteAsync(new byte[(2 * Record) + 1]).AsTask().IsCompleted);

        Assert.True(sut.Reader.TryRead(out var read));
        var lengths = new List<int>();
        foreach (var block in read.Buffer)
        {
            lengths.Add(block.Length);
        }

        Assert.Equal([Record, Record, 1], lengths);
        Assert.Equal(hasPoolSoLarge ? 3 : 0, _pool.RentedCount);
        sut.Writer.Complete();
        sut.Reader.Complete();
    }

    /// <summary>A pool with blocks as Kestrel's own, of which none is wanted.</summary>
    private sealed class SmallBlocks : MemoryPool<byte>
    {
        public override int MaxBufferSize => PoisoningMemoryPool.BlockBytes;

        public override IMemoryOwner<byte> Rent(int minBufferSize = -1) => throw new InvalidOperationException("Too small.");

        protected override void Dispose(bool disposing)
        {
        }
    }
}
