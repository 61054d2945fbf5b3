using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>What the peer gets, and whose a block of memory is, in every way that an output may end.</summary>
public sealed class SendLoopTests : IAsyncLifetime
{
    private const int Large = 8_000_000; // More than the kernels on both sides take.

    private readonly PoisoningMemoryPool _pool = new(quarantineCount: int.MaxValue);
    private readonly RecordingEvents _events = new();
    private SocketPair _pair = null!;
    private SendLoop _sut = null!;

    public async ValueTask InitializeAsync()
    {
        _pair = await SocketPair.ConnectAsync();
        _sut = Create(_events);
    }

    public ValueTask DisposeAsync()
    {
        _pair.Dispose();
        _pool.ThrowIfViolated();
        return ValueTask.CompletedTask;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task WriteAsync_TwoAwaitedAtATime_OnlyTheSecondFails(bool asTask)
    {
        var first = _sut.WriteAsync(Ones(Large)).AsTask();
        Assert.False(first.IsCompleted);

        var exception = await Assert.ThrowsAsync<InvalidOperationException>(() => AwaitSecondAsync().WithinLimit());

        Assert.Contains("Two flushes", exception.Message, StringComparison.Ordinal);
        Assert.True(_sut.IsWriteBlocked);
        await ReadOnesAsync(Large + 1);
        Assert.False((await first.WithinLimit()).IsCompleted);
        Assert.False(_sut.IsWriteBlocked);
        _sut.Seal(LeftOver.Send);
        await ReadFinAsync();
        Assert.Null(_events.Fault);
        Assert.Equal(_pool.RentedCount, _pool.ReturnedCount);

        async Task AwaitSecondAsync()
        {
            if (asTask)
            {
                await _sut.WriteAsync(Ones(1)).AsTask();
            }
            else
            {
                await _sut.WriteAsync(Ones(1));
            }
        }
    }

    // As by a pipe of its own: the wait is cancelled, and the bytes are on their way.
    [Theory]
    [InlineData(100)]
    [InlineData(Large)]
    public async Task WriteAsync_TokenIsCancelledWhileBytesAreCopied_TheyAreCountedAndSent(int count)
    {
        using var source = new CancellationTokenSource();
        using var pool = new CancellingPool(_pool, source);
        _sut = Create(_events, pool);

        var write = _sut.WriteAsync(Ones(count), source.Token).AsTask();

        Assert.Equal(count, _sut.WrittenBytes);
        if (count == Large)
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => write.WithinLimit());
        }

        await ReadOnesAsync(count);
        _sut.Seal(LeftOver.Send);
        await ReadFinAsync();
        Assert.Equal((count, false), (_sut.SentBytes, _sut.HasUnsent));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Create(_events).WriteAsync(Ones(1), source.Token).AsTask());
    }

    [Fact]
    public async Task Seal_RightAfterTwoWereAwaited_EverythingArrives()
    {
        var first = _sut.WriteAsync(Ones(Large)).AsTask();
        await Assert.ThrowsAsync<InvalidOperationException>(() => _sut.WriteAsync(Ones(1)).AsTask().WithinLimit());

        _sut.Seal(LeftOver.Send);

        await ReadOnesAsync(Large + 1);
        await ReadFinAsync();
        await first.WithinLimit();
        Assert.Equal(_pool.RentedCount, _pool.ReturnedCount);
    }

    [Fact]
    public async Task WriteAsync_OneBeforeNotAwaited_IsAwaitedLikeAnyOther()
    {
        var first = _sut.WriteAsync(Ones(Large));
        var second = _sut.WriteAsync(Ones(1)).AsTask();
        Assert.False(second.IsCompleted);

        await ReadOnesAsync(Large + 1);

        Assert.False((await second.WithinLimit()).IsCompleted);
        Assert.False((await first).IsCompleted);
    }

    [Fact]
    public async Task WriteAsync_CancelledByItsToken_ThrowsAndTheNextOneIsAwaited()
    {
        using var cancellation = new CancellationTokenSource();
        var first = _sut.WriteAsync(Ones(Large), cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first.WithinLimit());

        var second = _sut.FlushAsync().AsTask();

        await ReadOnesAsync(Large);
        Assert.False((await second.WithinLimit()).IsCompleted);
    }

    [Fact]
    public async Task WriteAsync_SocketIsClosed_SaysAtOnceThatNothingIsTakenAnyMore()
    {
        _pair.Own.Dispose();

        Assert.True((await _sut.WriteAsync(Ones(1)).AsTask().WithinLimit()).IsCompleted);
    }

    [Fact]
    public async Task Seal_SendWithBytesNotFlushed_SendsThemAndOurFin()
    {
        Advance(3);

        _sut.Seal(LeftOver.Send);

        await ReadOnesAsync(3);
        await ReadFinAsync();
        Assert.Equal([nameof(ITransportEvents.OnFinSent)], _events.Told);
        Assert.Equal(_pool.RentedCount, _pool.ReturnedCount);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(10_000)]
    public async Task Seal_MemoryIsOut_SendsTheRestAndKeepsTheBlock(int before)
    {
        await _sut.WriteAsync(Ones(1));
        for (var left = before; left > 0;)
        {
            var count = Math.Min(left, 4000);
            Advance(count);
            left -= count;
        }

        var memory = _sut.GetMemory(1);
        _sut.Seal(LeftOver.Send);

        await ReadOnesAsync(1 + before);
        await ReadFinAsync();
        await TestLimit.UntilAsync(() => _sut.GetDelivery().IsDelivered);
        memory.Span.Fill(1); // By a writer that does not know of the end. The pool notices if it has the block.
        Assert.NotEqual(_pool.RentedCount, _pool.ReturnedCount);
        Assert.Throws<ObjectDisposedException>(() => _sut.Advance(1));
    }

    // A background writer of the handler's has the block. The goodbye has memory of its own.
    [Fact]
    public async Task FlushAsync_OfAGoodbyeWhileMemoryIsOut_KeepsTheBlock()
    {
        await _sut.WriteAsync(Ones(1));
        var memory = _sut.GetMemory(1);
        _sut.BeginGoodbye();
        await _sut.WriteAsync(Ones(2));

        _sut.Seal(LeftOver.Send);

        await ReadOnesAsync(3);
        await ReadFinAsync();
        memory.Span.Fill(1);
        Assert.NotEqual(_pool.RentedCount, _pool.ReturnedCount);
    }

    // Both would write to the block at the head, and the peer would get a mixture.
    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public async Task Goodbye_AWriterStillFillsABlock_ArrivesWholeAndNothingOfThatWriter(int before)
    {
        const int full = 8_000_000; // More than the kernels take, so that everything behind it waits here.
        var first = _sut.WriteAsync(Ones(full));
        Assert.False(first.IsCompleted);
        Advance(before);
        var memory = _sut.GetMemory(100); // By a writer that goes on while the goodbye is said.
        await SayGoodbyeAsync();

        Assert.Throws<ObjectDisposedException>(() => _sut.Advance(100)); // It is too late for them.
        _sut.Seal(LeftOver.Send);

        await ReadOnesAsync(full + before + 8000);
        await ReadFinAsync();
        await first.WithinLimit();
        await TestLimit.UntilAsync(() => _sut.GetDelivery().IsDelivered);
        Assert.Equal((full + before + 8000, full + before + 8000), (_sut.WrittenBytes, _sut.SentBytes));

        async Task SayGoodbyeAsync()
        {
            await Task.Yield();
            _sut.BeginGoodbye(); // Holds for this method alone, as for the goodbye's own code.
            for (var i = 0; i < 2; i++)
            {
                Advance(2000);
                var flush = _sut.FlushAsync();
                memory.Span.Fill(7);
                var write = _sut.WriteAsync(Ones(2000));
                memory.Span.Fill(7);
                Assert.False(flush.IsCompleted || write.IsCompleted); // One of the three is awaited, and that is the first.
            }
        }
    }

    [Fact]
    public async Task Goodbye_AWriterBeginsAMessageMeanwhile_ArrivesWholeAndSoDoesTheMessage()
    {
        await SayGoodbyeAsync();
        _sut.Seal(LeftOver.Send);

        var received = new byte[8];
        for (var count = 0; count < received.Length;)
        {
            count += await _pair.Peer.ReceiveAsync(received.AsMemory(count)).WithinLimit();
        }

        Assert.Equal([7, 7, 7, 7, 1, 1, 1, 1], received);
        await ReadFinAsync();

        async Task SayGoodbyeAsync()
        {
            var goesOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var began = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var writer = WriteAsync(); // Started before the goodbye began: it is not part of it.
            _sut.BeginGoodbye();
            goesOn.SetResult();
            await began.Task.WithinLimit();
            Advance(4);
            await writer.WithinLimit();
            await _sut.FlushAsync();

            async Task WriteAsync()
            {
                await goesOn.Task.WithinLimit();
                var memory = _sut.GetMemory(4);
                began.SetResult();
                await Task.Yield();
                memory.Span[..4].Fill(7);
                _sut.Advance(4);
                await _sut.FlushAsync();
            }
        }
    }

    [Fact]
    public async Task OnReaderCompleted_NothingIsSentAnyMore_IsCalled()
    {
        var called = new TaskCompletionSource<object?>(TaskCreationOptions.RunContinuationsAsynchronously);
#pragma warning disable CS0618 // Obsolete, and used all the same.
        _sut.OnReaderCompleted((_, state) => called.SetResult(state), this);
#pragma warning restore CS0618

        _sut.Complete();

        Assert.Same(this, await called.Task.WithinLimit());
        await ReadFinAsync();
    }

    [Fact]
    public async Task Complete_MemoryIsOut_KeepsTheBlock()
    {
        var memory = _sut.GetMemory(1);

        _sut.Complete();

        await ReadFinAsync();
        _sut.Seal(LeftOver.Send);
        memory.Span.Fill(1);
        Assert.Equal((1L, 0), (_pool.RentedCount, _pool.ReturnedCount));
    }

    [Fact]
    public async Task Seal_MemoryWasReturnedByAFlush_GivesTheBlockBack()
    {
        _ = _sut.GetMemory(1);
        await _sut.FlushAsync();

        _sut.Seal(LeftOver.Send);

        await ReadFinAsync();
        Assert.Equal((1L, 1), (_pool.RentedCount, _pool.ReturnedCount));
    }

    [Fact]
    public async Task Seal_SendThenReset_SendsEverythingAndNoFin()
    {
        await _sut.WriteAsync(Ones(2));
        Advance(3);

        _sut.Seal(LeftOver.SendThenReset);

        await ReadOnesAsync(5);
        Assert.Equal([nameof(ITransportEvents.OnAllSent)], _events.Told);
        await TestLimit.UntilAsync(() => _sut.GetDelivery().IsAllAcknowledged);
        Assert.False(_sut.GetDelivery().IsDelivered);
        Assert.Equal(_pool.RentedCount, _pool.ReturnedCount);
        _sut.Abort(resets: true);
        _pair.Own.Dispose();
        await ReadResetAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Complete_WithAnException_SendsWhatWasFlushed(bool sendsFin)
    {
        _events.SendsFinBehindFault = sendsFin;
        await _sut.WriteAsync(Ones(2));
        Advance(3);

        _sut.Complete(new InvalidTimeZoneException());

        await ReadOnesAsync(2);
        var end = sendsFin ? nameof(ITransportEvents.OnFinSent) : nameof(ITransportEvents.OnAllSent);
        Assert.Equal([nameof(ITransportEvents.OnOutputFaulted), end], _events.Told);
        Assert.Equal(5, _sut.WrittenBytes);
        Assert.Equal(2, _sut.SentBytes);
        if (sendsFin)
        {
            await ReadFinAsync();
            return;
        }

        _sut.Abort(resets: true);
        _pair.Own.Dispose();
        await ReadResetAsync();
    }

    [Fact]
    public async Task Seal_SendThenResetBehindACompletedOutputThatIsStillSent_SendsNoFin()
    {
        var write = _sut.WriteAsync(Ones(Large)).AsTask();
        _sut.Complete();

        _sut.Seal(LeftOver.SendThenReset);

        await ReadOnesAsync(Large);
        await write.WithinLimit();
        await TestLimit.UntilAsync(() => _events.Told.Contains(nameof(ITransportEvents.OnAllSent)));
        Assert.DoesNotContain(nameof(ITransportEvents.OnFinSent), _events.Told);
    }

    [Fact]
    public async Task Seal_Abandon_SendsWhatWasFlushedAndKeepsEveryBlock()
    {
        var write = _sut.WriteAsync(Ones(Large)).AsTask();
        Advance(3);
        var returned = _pool.ReturnedCount;

        _sut.Seal(LeftOver.Abandon);

        await ReadOnesAsync(Large);
        await ReadFinAsync();
        await write.WithinLimit();
        Assert.InRange(_pool.ReturnedCount, returned, returned + 300); // One send, which was under way.
    }

    [Fact]
    public async Task Abort_SendUnderWay_GivesTheBlocksBackWhenItHasEnded()
    {
        var write = _sut.WriteAsync(Ones(Large)).AsTask();
        _sut.Abort(resets: true);
        _sut.Seal(LeftOver.Send);
        Assert.NotEqual(_pool.RentedCount, _pool.ReturnedCount);

        _pair.Own.Dispose();

        Assert.True((await write.WithinLimit()).IsCompleted);
        await TestLimit.UntilAsync(() => _pool.RentedCount == _pool.ReturnedCount);
    }

    [Fact]
    public async Task Events_WhoIsToldThrows_NothingComesOutOfTheOutput()
    {
        var events = new ThrowingEvents();
        var sut = Create(events);
        await sut.WriteAsync(Ones(3));

        sut.Seal(LeftOver.Send);

        await ReadOnesAsync(3);
        await ReadFinAsync();
        Assert.IsType<InvalidTimeZoneException>(Assert.IsType<AggregateException>(TransportOutput.Untold).InnerExceptions[0]);
    }

    [Fact]
    public async Task Writer_UsedByManyThreadsAtATime_CostsItsOwnConnectionAtMost()
    {
        var start = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var writers = Enumerable.Range(0, 4).Select(_ => Task.Run(WriteAsync)).ToArray();
        start.SetResult();
        var reading = Task.Run(ReadUntilEndAsync);
        await Task.WhenAll(writers).WithinLimit();

        _sut.Seal(LeftOver.Send);

        await reading.WithinLimit();

        async Task WriteAsync()
        {
            await start.Task;
            for (var i = 0; i < 200; i++)
            {
                try
                {
                    await _sut.WriteAsync(Ones(20_000));
                }
                catch (Exception exception) when (exception is InvalidOperationException or ArgumentException or NullReferenceException)
                {
                    return; // A pipe is not made for this. What matters is who pays.
                }
            }
        }

        async Task ReadUntilEndAsync()
        {
            var buffer = new byte[65536];
            try
            {
                while (await _pair.Peer.ReceiveAsync(buffer) > 0)
                {
                }
            }
            catch (SocketException)
            {
                return; // Its own connection.
            }
        }
    }

    private static byte[] Ones(int count)
    {
        var bytes = new byte[count];
        Array.Fill(bytes, (byte)1);
        return bytes;
    }

    private SendLoop Create(ITransportEvents events, MemoryPool<byte>? pool = null) => new(
        new Pipe(new PipeOptions(pool ?? _pool, pauseWriterThreshold: 65536, resumeWriterThreshold: 32768, useSynchronizationContext: false)),
        new SocketQueue(_pair.Own),
        events);

    private void Advance(int count)
    {
        _sut.GetSpan(count)[..count].Fill(1);
        _sut.Advance(count);
    }

    private async Task ReadOnesAsync(int count)
    {
        var buffer = new byte[65536];
        while (count > 0)
        {
            var read = await _pair.Peer.ReceiveAsync(buffer.AsMemory(0, Math.Min(count, buffer.Length))).WithinLimit();
            Assert.NotEqual(0, read);
            Assert.False(buffer.AsSpan(0, read).ContainsAnyExcept((byte)1), "Other bytes arrived than were written.");
            count -= read;
        }
    }

    private async Task ReadFinAsync() => Assert.Equal(0, await _pair.Peer.ReceiveAsync(new byte[1]).WithinLimit());

    private async Task ReadResetAsync()
    {
        var exception = await Assert.ThrowsAsync<SocketException>(() => _pair.Peer.ReceiveAsync(new byte[1]).WithinLimit());
        Assert.Equal(SocketError.ConnectionReset, exception.SocketErrorCode);
    }

    private sealed class CancellingPool(MemoryPool<byte> inner, CancellationTokenSource source) : MemoryPool<byte>
    {
        public override int MaxBufferSize => inner.MaxBufferSize;

        public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
        {
            source.Cancel();
            return inner.Rent(minBufferSize);
        }

        protected override void Dispose(bool disposing)
        {
        }
    }

    private sealed class ThrowingEvents : ITransportEvents
    {
        private Activity _activity = new(TimeProvider.System);

        public ref Activity Activity => ref _activity;

        public void OnOutputCompleted() => throw new InvalidTimeZoneException();

        public LeftOver OnOutputFaulted(Exception exception) => throw new InvalidTimeZoneException();

        public void OnFinSent() => throw new InvalidTimeZoneException();

        public void OnPeerFin() => throw new InvalidTimeZoneException();

        public void OnBytesDiscarded() => throw new InvalidTimeZoneException();

        public void OnFaulted(Exception exception) => throw new InvalidTimeZoneException();
    }
}
