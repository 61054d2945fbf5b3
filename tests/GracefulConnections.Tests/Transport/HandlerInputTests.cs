using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>What a handler may do with a <see cref="PipeReader"/>, and do wrong with it, ends as with the pipe's own.</summary>
public sealed class HandlerInputTests
{
    private readonly Pipe _pipe = new(new PipeOptions(readerScheduler: PipeScheduler.Inline, useSynchronizationContext: false));
    private readonly RecordingEvents _events = new();
    private readonly ReadPump _sut;

    public HandlerInputTests()
    {
        _sut = Create(_pipe.Reader, InputKind.Transport);
    }

    [Fact]
    public async Task AdvanceTo_PositionOfAnotherBuffer_ThrowsAndTheBufferIsStillHeld()
    {
        var result = await SendAndReadAsync("abc");

        Assert.Throws<InvalidCastException>(() => _sut.AdvanceTo(new ReadOnlySequence<byte>(new byte[9]).End));

        _sut.AdvanceTo(result.Buffer.GetPosition(1));
        Assert.Equal("bc", Text(await _sut.ReadAsync()));
    }

    [Fact]
    public async Task AdvanceTo_ExaminedBeforeConsumed_ThrowsAndTheBufferIsStillHeld()
    {
        var result = await SendAndReadAsync("abc");

        Assert.Throws<InvalidOperationException>(
            () => _sut.AdvanceTo(result.Buffer.GetPosition(2), result.Buffer.GetPosition(1)));

        _sut.AdvanceTo(result.Buffer.End);
        Assert.Equal((3L, 0L), (_sut.ReceivedBytes, _sut.DiscardedBytes));
    }

    [Fact]
    public async Task AdvanceTo_Twice_ThrowsAndNothingIsCountedTwice()
    {
        var result = await SendAndReadAsync("abc");
        _sut.AdvanceTo(result.Buffer.GetPosition(1));

        Assert.Throws<InvalidOperationException>(() => _sut.AdvanceTo(result.Buffer.GetPosition(1)));

        Assert.Equal("bc", Text(await _sut.ReadAsync()));
        _sut.Close();
        Assert.Equal(2, _sut.DiscardedBytes);
    }

    [Fact]
    public async Task AdvanceTo_NoPosition_ConsumesNothing()
    {
        await SendAndReadAsync("abc");

        _sut.AdvanceTo(default);

        Assert.Equal("abc", Text(await _sut.ReadAsync()));
    }

    [Fact]
    public void AdvanceTo_NothingRead_Throws() => Assert.Throws<InvalidOperationException>(() => _sut.AdvanceTo(default));

    // As a pipe's own reader: a handler may poll by reads that it does not await.
    [Fact]
    public async Task ReadAsync_OneBeforeIsPendingAndNotAwaited_IsTheSameRead()
    {
        Assert.True(IsPending(_sut.ReadAsync()));
        Assert.True(IsPending(_sut.ReadAsync()));
        var read = _sut.ReadAsync().AsTask();

        await SendAsync("abc");

        Assert.Equal("abc", Text(await read.WithinLimit()));
    }

    [Fact]
    public async Task ReadAsync_OneBeforeHasCompletedAndWasNotAwaited_IsTheSameRead()
    {
        Assert.True(IsPending(_sut.ReadAsync()));
        await SendAsync("abc");

        var result = await _sut.ReadAsync().AsTask().WithinLimit();

        Assert.Equal("abc", Text(result));
        Assert.Throws<InvalidOperationException>(() => IsPending(_sut.ReadAsync())); // It was taken, and is held.
        _sut.AdvanceTo(result.Buffer.GetPosition(1));
        Assert.Equal("bc", Text(await _sut.ReadAsync().AsTask().WithinLimit()));
    }

    [Fact]
    public async Task ReadAsync_OneBeforeIsAwaited_ThrowsAndThatOneGoesOn()
    {
        var first = _sut.ReadAsync().AsTask();

        await Assert.ThrowsAsync<InvalidOperationException>(() => _sut.ReadAsync().AsTask().WithinLimit());

        await SendAsync("abc");
        Assert.Equal("abc", Text(await first.WithinLimit()));
    }

    // What came before belongs to the handler. As with a pipe's own reader, a read waits for more, and a try does not.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ReadAtLeastAsync_CancelledBehindAPart_TheNextReadReturnsThePartToo(bool isTry)
    {
        using var cancellation = new CancellationTokenSource();
        var reading = _sut.ReadAtLeastAsync(6, cancellation.Token).AsTask();
        await SendAsync("abc");
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading.WithinLimit());

        ReadResult result;
        if (isTry)
        {
            Assert.True(_sut.TryRead(out result));
            Assert.False(result.IsCanceled);
            Assert.Equal("abc", Text(result));
            _sut.AdvanceTo(result.Buffer.Start, result.Buffer.End);
        }

        var next = _sut.ReadAsync().AsTask();
        Assert.False(next.IsCompleted);
        await SendAsync("def");
        result = await next.WithinLimit();
        Assert.False(result.IsCanceled);
        Assert.Equal("abcdef", Text(result));
    }

    [Fact]
    public async Task AdvanceTo_ReadPending_ThrowsAndTheReadGoesOn()
    {
        var read = _sut.ReadAsync();

        Assert.Throws<InvalidOperationException>(() => _sut.AdvanceTo(default));

        await SendAsync("abc");
        Assert.Equal("abc", Text(await read));
    }

    [Fact]
    public async Task ReadAsync_BufferInHand_ThrowsAndTheBufferIsStillHeld()
    {
        var result = await SendAndReadAsync("abc");

        await Assert.ThrowsAsync<InvalidOperationException>(() => _sut.ReadAsync().WithinLimit());
        Assert.Throws<InvalidOperationException>(() => _sut.TryRead(out _));

        Assert.Equal("abc", Text(result));
        _sut.AdvanceTo(result.Buffer.End);
        await SendAsync("de");
        Assert.Equal("de", Text(await _sut.ReadAsync()));
    }

    [Fact]
    public async Task ReadAsync_CancelledReadNotGivenBack_ReadsOn()
    {
        _sut.CancelPendingRead();
        Assert.True((await _sut.ReadAsync()).IsCanceled);

        var read = _sut.ReadAsync(); // As the pipe's own, which holds nothing after a cancelled read.

        await SendAsync("abc");
        Assert.Equal("abc", Text(await read));
    }

    [Fact]
    public async Task TryRead_Cancelled_ReturnsThatOnce()
    {
        _sut.CancelPendingRead();

        Assert.True(_sut.TryRead(out var result));
        Assert.True(result.IsCanceled);
        _sut.AdvanceTo(result.Buffer.End);
        Assert.False(_sut.TryRead(out _));
        await SendAsync("abc");
        Assert.True(_sut.TryRead(out result));
        Assert.Equal(("abc", false), (Text(result), result.IsCanceled));
    }

    // A cancellation of the library's may find that its read has completed, and then stays in the pipe until the next one.
    [Fact]
    public async Task ReadAsync_OurCancelIsLeftAndBytesAreNotExamined_ReturnsThemAtOnce()
    {
        var paused = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var read = _sut.ReadAsync();
        _sut.RunBetweenReads(paused.SetResult);
        await paused.Task.WithinLimit();
        await SendAsync("abc");
        var result = await read;
        _sut.AdvanceTo(result.Buffer.GetPosition(1)); // The rest is not examined, so that the next read has to return it.
        _pipe.Reader.CancelPendingRead();

        result = await _sut.ReadAsync().WithinLimit();

        Assert.Equal(("bc", false), (Text(result), result.IsCanceled));
    }

    // From inside of the awaiter the exception would end the process.
    [Fact]
    public async Task ReadAsync_AwaitedTwice_FailsTheSecondAwaitOnly()
    {
        var read = _sut.ReadAsync();
        var first = AwaitAsync(read);

        await Assert.ThrowsAsync<InvalidOperationException>(() => AwaitAsync(read).WithinLimit());

        await SendAsync("abc");
        Assert.Equal("abc", Text(await first.WithinLimit()));

        static async Task<ReadResult> AwaitAsync(ValueTask<ReadResult> read) => await read;
    }

    // As the server's own pipe: a context that is blocked until the read completes would never run its continuation.
    [Fact]
    public async Task ReadAsync_ContextIsBlocked_CompletesWithoutIt()
    {
        var reading = Task.Run(() =>
        {
            SynchronizationContext.SetSynchronizationContext(new DeadContext());
            try
            {
                return ReadAsync().Wait(TestLimit.Longest);
            }
            finally
            {
                SynchronizationContext.SetSynchronizationContext(null);
            }
        });
        await TestLimit.UntilAsync(() => _sut.IsWaiting);

        await SendAsync("abc");

        Assert.True(await reading.WithinLimit());

        async Task ReadAsync() => await _sut.ReadAsync();
    }

    [Fact]
    public async Task OnWriterCompleted_PeersFin_IsCalled()
    {
        var called = new TaskCompletionSource<object?>();
#pragma warning disable CS0618 // Frameworks that use it must go on working.
        _sut.OnWriterCompleted((_, state) => called.SetResult(state), this);
#pragma warning restore CS0618

        await _pipe.Writer.CompleteAsync();

        Assert.Same(this, await called.Task.WithinLimit());
    }

    [Fact]
    public async Task ReadAsync_WriterCompletedWithAnException_ThrowsIt()
    {
        await _pipe.Writer.CompleteAsync(new InvalidTimeZoneException());

        await Assert.ThrowsAsync<InvalidTimeZoneException>(() => _sut.ReadAsync().WithinLimit());
        Assert.Throws<InvalidTimeZoneException>(() => _sut.TryRead(out _));
    }

    [Fact]
    public async Task AsStream_Disposed_CompletesUnlessLeftOpen()
    {
        await _sut.AsStream(leaveOpen: true).DisposeAsync();
        Assert.False(_sut.TryRead(out _));

        await Create(_pipe.Reader, InputKind.Transport).AsStream().DisposeAsync();

        await _sut.CompleteAsync();
        await _sut.CompleteAsync();
        Assert.Throws<InvalidOperationException>(() => _sut.TryRead(out _));
    }

    // Foreign code: the one who wants the reader back must not wait for it.
    [Fact]
    public async Task StopAsync_CancellationBlocksOrThrows_HoldsAndEndsNobody()
    {
        using var inner = new ScriptedReader { BlocksCancellation = true };
        var pump = Create(inner, InputKind.Tls);
        var read = pump.ReadAsync();
        pump.Close();
        inner.Block();

        var stop = await Task.Run(() => Task.FromResult(pump.StopAsync().IsCompleted)).WithinLimit();

        Assert.False(stop);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());
        inner.Unblock(); // And throws.
        await TestLimit.UntilAsync(() => _events.Fault is InvalidTimeZoneException);
    }

    private static bool IsPending(ValueTask<ReadResult> read) => !read.IsCompleted;

    private static string Text(ReadResult result) => Encoding.ASCII.GetString(result.Buffer);

    private ReadPump Create(PipeReader inner, InputKind kind) =>
        new(inner, null, kind, _events);

    private async Task SendAsync(string text) => await _pipe.Writer.WriteAsync(Encoding.ASCII.GetBytes(text));

    private async Task<ReadResult> SendAndReadAsync(string text)
    {
        await SendAsync(text);
        return await _sut.ReadAsync();
    }

    /// <summary>A context whose thread does nothing any more.</summary>
    private sealed class DeadContext : SynchronizationContext
    {
        public override void Post(SendOrPostCallback d, object? state)
        {
        }
    }
}
