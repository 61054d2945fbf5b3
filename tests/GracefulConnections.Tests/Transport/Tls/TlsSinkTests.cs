using System.IO.Pipelines;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using GracefulConnections.Transport.Tls;

namespace GracefulConnections.Tests.Transport.Tls;

/// <summary>The output inside of TLS, where the test is the stream and takes bytes when it likes.</summary>
public sealed class TlsSinkTests : IDisposable
{
    private const int MoreThanThePipeTakes = 100_000;

    private readonly PoisoningMemoryPool _pool = new(quarantineCount: int.MaxValue);
    private readonly RecordingEvents _events = new();
    private readonly SteppedStream _stream = new();
    private readonly SendLoop _sut;
    private int _closeNotifies;

    public TlsSinkTests() => _sut = new SendLoop(
        new Pipe(new PipeOptions(_pool, pauseWriterThreshold: 65536, resumeWriterThreshold: 32768, minimumSegmentSize: 16 * 1024, useSynchronizationContext: false)),
        new TlsSink(_stream, SendCloseNotifyAsync, null),
        _events);

    public void Dispose() => _pool.ThrowIfViolated();

    [Fact]
    public async Task Complete_BytesNotFlushed_AreWrittenAndFlushedBeforeCloseNotify()
    {
        _stream.IsOpen = true;
        await _sut.WriteAsync(new byte[3]);
        _sut.GetSpan(2);
        _sut.Advance(2);

        _sut.Complete();

        await _sut.Ended.WithinLimit();
        Assert.Equal((5L, 0L, 1), (_stream.Written, _stream.Unflushed, _closeNotifies));
        Assert.Equal([nameof(ITransportEvents.OnOutputCompleted), nameof(ITransportEvents.OnFinSent)], _events.Told);
        Assert.True(_sut.GetDelivery().IsDelivered);
        Assert.Equal(_pool.RentedCount, _pool.ReturnedCount);
    }

    [Fact]
    public async Task WriteAsync_StreamTakesNothing_IsBlockedUntilItDoes()
    {
        var write = _sut.WriteAsync(new byte[MoreThanThePipeTakes]).AsTask();
        Assert.False(write.IsCompleted);
        Assert.True(_sut.IsWriteBlocked);
        await Assert.ThrowsAsync<InvalidOperationException>(() => _sut.FlushAsync().AsTask().WithinLimit());

        _stream.Open();

        Assert.False((await write.WithinLimit()).IsCompleted);
        Assert.False(_sut.IsWriteBlocked);
        await TestLimit.UntilAsync(() => _stream.Written == MoreThanThePipeTakes && _stream.Unflushed == 0);
        Assert.Equal(7, _stream.Writes); // As many records of 16 KiB.
    }

    [Fact]
    public async Task Seal_SendThenReset_WritesEverythingAndNoCloseNotify()
    {
        _stream.IsOpen = true;
        _sut.GetSpan(2);
        _sut.Advance(2);

        _sut.Seal(LeftOver.SendThenReset);

        await _sut.Ended.WithinLimit();
        Assert.Equal((2L, 0), (_stream.Written, _closeNotifies));
        Assert.Equal([nameof(ITransportEvents.OnAllSent)], _events.Told);
        Assert.Equal((false, true), (_sut.GetDelivery().IsDelivered, _sut.GetDelivery().IsAllAcknowledged));
    }

    [Fact]
    public async Task Seal_MemoryIsOut_KeepsTheBlock()
    {
        _stream.IsOpen = true;
        await _sut.WriteAsync(new byte[3]);
        var memory = _sut.GetMemory(1);

        _sut.Seal(LeftOver.Abandon);

        await _sut.Ended.WithinLimit();
        memory.Span.Fill(1);
        Assert.Equal(1, _closeNotifies);
        Assert.NotEqual(_pool.RentedCount, _pool.ReturnedCount);
    }

    [Fact]
    public async Task Abort_StreamTakesNothing_EndsTheWrite()
    {
        var write = _sut.WriteAsync(new byte[MoreThanThePipeTakes]).AsTask();

        _sut.Abort(resets: true);
        _sut.Seal(LeftOver.Send);

        Assert.True((await write.WithinLimit()).IsCompleted);
        await _sut.Ended.WithinLimit();
        Assert.Empty(_events.Told);
        Assert.Equal(0, _closeNotifies);
        Assert.Equal(_pool.RentedCount, _pool.ReturnedCount);
    }

    [Fact]
    public async Task Abort_StreamIgnoresItsToken_OwnsTheMemoryUntilTheStreamReturnsIt()
    {
        _stream.IgnoresToken = true;
        await _sut.WriteAsync(new byte[3]);

        _sut.Abort(resets: true);
        _sut.Seal(LeftOver.Send);

        Assert.False(_sut.Ended.IsCompleted);
        Assert.Equal(0, _pool.ReturnedCount);
        _stream.Open();
        await _sut.Ended.WithinLimit();
        Assert.Equal(_pool.RentedCount, _pool.ReturnedCount);
    }

    [Fact]
    public async Task WriteAsync_StreamFails_TellsOfItAndTheWriterSeesTheEnd()
    {
        _stream.Error = new IOException();

        var write = await _sut.WriteAsync(new byte[3]).AsTask().WithinLimit();
        await _sut.Ended.WithinLimit();

        Assert.True(write.IsCompleted || (await _sut.FlushAsync().AsTask().WithinLimit()).IsCompleted);
        Assert.Same(_stream.Error, _events.Fault);
    }

    private Task SendCloseNotifyAsync()
    {
        _closeNotifies++;
        return Task.CompletedTask;
    }

    private sealed class SteppedStream : Stream
    {
        private readonly TaskCompletionSource _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private long _written;
        private long _unflushed;

        /// <summary>Gets how often bytes came.</summary>
        public int Writes { get; private set; }

        public bool IsOpen { get; set; }

        public bool IgnoresToken { get; set; }

        public IOException? Error { get; set; }

        public long Written => Volatile.Read(ref _written);

        public long Unflushed => Volatile.Read(ref _unflushed);

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public void Open()
        {
            IsOpen = true;
            _opened.SetResult();
        }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (Error is not null)
            {
                throw Error;
            }

            if (!IsOpen)
            {
                await _opened.Task.WaitAsync(IgnoresToken ? CancellationToken.None : cancellationToken);
            }

            Writes++;
            Interlocked.Add(ref _written, buffer.Length);
            Interlocked.Add(ref _unflushed, buffer.Length);
        }

        public override Task FlushAsync(CancellationToken cancellationToken)
        {
            Volatile.Write(ref _unflushed, 0);
            return Task.CompletedTask;
        }

        public override void Flush() => throw new NotSupportedException();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
