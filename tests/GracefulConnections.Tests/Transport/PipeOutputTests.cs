using System.IO.Pipelines;
using System.Text;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Tests.Transport;

public sealed class PipeOutputTests : IAsyncDisposable
{
    private readonly InMemoryConnection _peer = InMemory.Narrow();
    private readonly RecordingEvents _events = new();
    private readonly PipeOutput _sut;

    public PipeOutputTests() => _sut = new PipeOutput(
        _peer.Transport.Output, null, isLeftToServer: false, _events);

    public ValueTask DisposeAsync() => _peer.DisposeAsync();

    [Fact]
    public async Task WriteAsync_PeerReads_ArrivesAndIsCounted()
    {
        await WriteAsync("abc");

        Assert.Equal("abc", _peer.Receive());
        Assert.Equal((3L, 3L), (_sut.WrittenBytes, _sut.SentBytes));
        Assert.False(_sut.IsWriteBlocked);
    }

    [Fact]
    public async Task FlushAsync_AfterGetSpanAndAdvance_ArrivesAndIsCounted()
    {
        "abc"u8.CopyTo(_sut.GetSpan(3));
        _sut.Advance(3);
        Assert.Equal((3L, 0L, 3L), (_sut.WrittenBytes, _sut.SentBytes, _sut.UnflushedBytes));
        Assert.Equal("", _peer.Receive());

        await _sut.FlushAsync();

        Assert.Equal("abc", _peer.Receive());
        Assert.Equal(3, _sut.SentBytes);
    }

    [Fact]
    public async Task WriteAsync_PeerReadsNothing_IsBlockedUntilItDoes()
    {
        var write = WriteAsync("abcde");
        Assert.False(write.IsCompleted);
        Assert.Equal((true, 0L), (_sut.IsWriteBlocked, _sut.SentBytes));

        Assert.Equal("abcde", _peer.Receive());

        await write.WithinLimit();
        Assert.Equal((false, 5L), (_sut.IsWriteBlocked, _sut.SentBytes));
    }

    [Fact]
    public async Task WriteAsync_FlushBeforeNotAwaited_BothArrive()
    {
        var first = _sut.WriteAsync("abcde"u8.ToArray());
        var second = WriteAsync("fgh");
        Assert.False(first.IsCompleted || second.IsCompleted);

        Assert.Equal("abcdefgh", _peer.Receive());

        Assert.False((await second.WithinLimit()).IsCompleted);
        Assert.False((await first.WithinLimit()).IsCompleted);
        Assert.Equal((false, 8L), (_sut.IsWriteBlocked, _sut.SentBytes));
        Assert.Null(_events.Fault);
    }

    [Fact]
    public async Task Seal_SomebodyStillAwaitsAFlush_EverythingArrivesAndThenOurFin()
    {
        var write = WriteAsync("abcde");

        _sut.Seal(LeftOver.Send);
        Assert.DoesNotContain(nameof(ITransportEvents.OnFinSent), _events.Told);

        Assert.Equal("abcde", await _peer.ReceiveToEndAsync());
        await _sut.Ended.WithinLimit();
        await write.WithinLimit();
        Assert.Equal([nameof(ITransportEvents.OnFinSent)], _events.Told);
    }

    [Fact]
    public async Task FlushAsync_CancelledByItsToken_ThrowsAndLosesNothing()
    {
        using var cancellation = new CancellationTokenSource();
        var write = _sut.WriteAsync("abcde"u8.ToArray(), cancellation.Token);

        await cancellation.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => write.WithinLimit());
        Assert.False(_sut.IsWriteBlocked);
        var next = WriteAsync("f");
        Assert.Equal("abcdef", _peer.Receive());
        await next.WithinLimit();
    }

    [Fact]
    public async Task WriteAsync_TokenCancelledBefore_LeavesTheBytesWithTheCaller()
    {
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _sut.WriteAsync("abc"u8.ToArray(), new CancellationToken(canceled: true)).WithinLimit());

        Assert.Equal(0, _sut.WrittenBytes);
    }

    [Fact]
    public async Task CancelPendingFlush_FlushPending_ReturnsCanceled()
    {
        var write = WriteAsync("abcde");

        _sut.CancelPendingFlush();

        Assert.True((await write.WithinLimit()).IsCanceled);
        Assert.Equal("abcde", _peer.Receive());
    }

    [Fact]
    public async Task Complete_BytesNotFlushed_SendsThemAndThenOurFin()
    {
        "abc"u8.CopyTo(_sut.GetSpan(3));
        _sut.Advance(3);

        _sut.Complete();

        Assert.Equal("abc", await _peer.ReceiveToEndAsync());
        await _sut.Ended.WithinLimit();
        Assert.Equal([nameof(ITransportEvents.OnOutputCompleted), nameof(ITransportEvents.OnFinSent)], _events.Told);
        Assert.True(_sut.GetDelivery().IsDelivered);
    }

    [Fact]
    public async Task Complete_PeerReadsNothing_SendsOurFinOnlyAfterItDid()
    {
        "abcde"u8.CopyTo(_sut.GetSpan(5));
        _sut.Advance(5);

        _sut.Complete();
        Assert.Equal([nameof(ITransportEvents.OnOutputCompleted)], _events.Told);
        Assert.False(_sut.GetDelivery().IsDelivered);

        Assert.Equal("abcde", await _peer.ReceiveToEndAsync());
        await _sut.Ended.WithinLimit();
        Assert.True(_sut.GetDelivery().IsDelivered);
    }

    [Fact]
    public async Task Complete_UsedAfterwards_ThrowsInvalidOperationExceptionThatSaysSo()
    {
        _sut.Complete();

        var exception = await Assert.ThrowsAsync<InvalidOperationException>(() => WriteAsync("x"));
        Assert.Contains("The output was completed", exception.Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => _ = _sut.GetMemory());
        Assert.Throws<InvalidOperationException>(() => _ = _sut.GetSpan());
        Assert.Throws<InvalidOperationException>(() => _sut.Advance(1));
        Assert.Equal("", await _peer.ReceiveToEndAsync());
    }

    [Fact]
    public void Complete_Twice_DoesNothingTheSecondTime()
    {
        _sut.Complete();
        _sut.Complete(new InvalidTimeZoneException());

        Assert.Equal([nameof(ITransportEvents.OnOutputCompleted), nameof(ITransportEvents.OnFinSent)], _events.Told);
    }

    [Fact]
    public async Task Complete_WithAnException_EndsWithAnAbortAndNothingThatLooksLikeOurFin()
    {
        await WriteAsync("abc");

        _sut.Complete(new InvalidTimeZoneException());
        Assert.Equal([nameof(ITransportEvents.OnOutputFaulted), nameof(ITransportEvents.OnAllSent)], _events.Told);
        Assert.Equal("abc", _peer.Receive());
        _sut.Abort(resets: true);
        _sut.Seal(LeftOver.Send);

        await Assert.ThrowsAsync<ConnectionResetException>(_peer.ReceiveToEndAsync);
    }

    [Fact]
    public async Task Seal_UsedAfterwards_ThrowsObjectDisposedException()
    {
        _sut.Seal(LeftOver.Send);

        var exception = await Assert.ThrowsAsync<ObjectDisposedException>(() => WriteAsync("x"));
        Assert.Contains("its handler returned", exception.Message, StringComparison.Ordinal);
        Assert.Throws<ObjectDisposedException>(() => _ = _sut.GetMemory());
        Assert.Throws<ObjectDisposedException>(() => _ = _sut.GetSpan());
        Assert.Throws<ObjectDisposedException>(() => _sut.Advance(1));
        _sut.Advance(0); // Nothing is no loss.
        Assert.True((await _sut.FlushAsync().WithinLimit()).IsCompleted);
        _sut.Complete();
        _sut.Complete(new InvalidTimeZoneException());
        Assert.Equal([nameof(ITransportEvents.OnFinSent)], _events.Told);
    }

    [Fact]
    public async Task Seal_OutputCompletedBefore_SendsNoSecondFin()
    {
        _sut.Complete();

        _sut.Seal(LeftOver.Send);

        await _sut.Ended.WithinLimit();
        Assert.Equal([nameof(ITransportEvents.OnOutputCompleted), nameof(ITransportEvents.OnFinSent)], _events.Told);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => WriteAsync("x"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Seal_KeepMemory_DoesNotTouchTheWriter(bool aborted)
    {
        var memory = _sut.GetMemory(3);
        if (aborted)
        {
            _sut.Abort(resets: true);
        }

        _sut.Seal(LeftOver.Abandon);

        await _sut.Ended.WithinLimit();
        Assert.Equal(aborted ? [] : [nameof(ITransportEvents.OnFinSent)], _events.Told);
        Encoding.ASCII.GetBytes("abc", memory.Span); // Still the writer's.
        _peer.Transport.Output.Advance(3);
        await _peer.Transport.Output.FlushAsync();
        Assert.Equal("abc", _peer.Receive());
    }

    [Fact]
    public async Task Abort_FlushPending_ReturnsItAndThePeerSeesAnAbort()
    {
        var write = WriteAsync("abcde");

        _sut.Abort(resets: true);
        Assert.True((await write.WithinLimit()).IsCanceled);
        _sut.Seal(LeftOver.SendThenReset);

        await _sut.Ended.WithinLimit();
        await Assert.ThrowsAsync<ConnectionResetException>(_peer.ReceiveToEndAsync);
        Assert.Empty(_events.Told);
    }

    [Fact]
    public async Task Abort_EndUnderWay_ThePeerSeesAnAbort()
    {
        "abcde"u8.CopyTo(_sut.GetSpan(5));
        _sut.Advance(5);
        _sut.Seal(LeftOver.Send);

        _sut.Abort(resets: true);

        await _sut.Ended.WithinLimit();
        await Assert.ThrowsAsync<ConnectionResetException>(_peer.ReceiveToEndAsync);
        Assert.Empty(_events.Told);
    }

    [Fact]
    public void GetDelivery_WithoutASocket_CannotTellWhatIsUnacknowledged()
    {
        Assert.False(_sut.SeesAcknowledgements);
        Assert.Null(_sut.GetDelivery().UnacknowledgedBytes);
    }

    private Task<FlushResult> WriteAsync(string text) => _sut.WriteAsync(Encoding.ASCII.GetBytes(text)).AsTask();
}
