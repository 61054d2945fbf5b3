using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Tests.Transport;

public sealed class InputReaderTests : IAsyncDisposable
{
    private readonly InMemoryConnection _peer = new();
    private readonly RecordingEvents _events = new();
    private readonly InputReader _sut;

    public InputReaderTests() => _sut = new InputReader(_peer.Transport.Input, null, isWrapped: false, _events);

    public ValueTask DisposeAsync() => _peer.DisposeAsync();

    [Fact]
    public async Task ReadAsync_BytesThere_ReturnsThemAtOnce()
    {
        _peer.Send("abc");

        var read = _sut.ReadAsync();

        Assert.True(read.IsCompletedSuccessfully);
        var result = await read;
        Assert.Equal(("abc", false, false), (Text(result), result.IsCompleted, result.IsCanceled));
        _sut.AdvanceTo(result.Buffer.End);
        Assert.Equal(3, _sut.ReceivedBytes);
        Assert.Equal(0, _sut.DiscardedBytes);
        Assert.Empty(_events.Told);
    }

    [Fact]
    public async Task ReadAsync_BytesArriveLater_ReturnsThem()
    {
        var read = _sut.ReadAsync();
        Assert.False(read.IsCompleted);

        _peer.Send("abc");

        Assert.Equal("abc", Text(await read.WithinLimit()));
    }

    [Fact]
    public async Task ReadAsync_PeersFin_Completes()
    {
        _peer.Send("abc");
        _peer.HalfClose();

        var result = await _sut.ReadAsync();
        Assert.Equal(("abc", true), (Text(result), result.IsCompleted));
        _sut.AdvanceTo(result.Buffer.End);
        result = await _sut.ReadAsync();

        Assert.Equal(("", true), (Text(result), result.IsCompleted));
        Assert.Empty(_events.Told); // The handler was told.
    }

    [Fact]
    public async Task ReadAsync_ManyInARow_CountsEachByteOnce()
    {
        for (var i = 0; i < 100; i++)
        {
            _peer.Send("abcd");
            var result = await _sut.ReadAsync();
            _sut.AdvanceTo(result.Buffer.GetPosition(1), result.Buffer.End); // One of four, so that three are left over each time.
        }

        Assert.Equal(400, _sut.ReceivedBytes);
        _sut.Close();
        Assert.Equal(300, _sut.DiscardedBytes);
        Assert.Equal(400, _sut.ReceivedBytes);
    }

    [Fact]
    public async Task ReadAsync_SecondWhileOneIsPending_Throws()
    {
        var read = _sut.ReadAsync();

        await Assert.ThrowsAsync<InvalidOperationException>(() => _sut.ReadAsync().WithinLimit());

        _peer.Send("abc");
        Assert.Equal("abc", Text(await read.WithinLimit()));
    }

    [Fact]
    public async Task ReadAsync_CancelledByItsOwnToken_ThrowsAndTheNextReadWorks()
    {
        using var cancellation = new CancellationTokenSource();
        var read = _sut.ReadAsync(cancellation.Token);

        await cancellation.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());
        _peer.Send("abc");
        Assert.Equal("abc", Text(await _sut.ReadAsync()));
    }

    [Fact]
    public async Task ReadAsync_TokenCancelledBefore_Throws()
    {
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _sut.ReadAsync(new CancellationToken(canceled: true)).WithinLimit());

        _peer.Send("abc");
        Assert.Equal("abc", Text(await _sut.ReadAsync()));
    }

    [Fact]
    public async Task ReadAsync_PeerResets_ThrowsAndIsRemembered()
    {
        var read = _sut.ReadAsync();
        Assert.False(_sut.ResetSeen);

        _peer.Reset();

        await Assert.ThrowsAsync<ConnectionResetException>(() => read.WithinLimit());
        Assert.True(_sut.ResetSeen);
    }

    [Fact]
    public async Task ReadAsync_PeerHasReset_ThrowsAndIsRemembered()
    {
        _peer.Reset();

        await Assert.ThrowsAsync<ConnectionResetException>(() => _sut.ReadAsync().WithinLimit());
        Assert.True(_sut.ResetSeen);
    }

    [Fact]
    public async Task CancelPendingRead_ReadPending_ReturnsCanceled()
    {
        var read = _sut.ReadAsync();

        _sut.CancelPendingRead();

        var result = await read.WithinLimit();
        Assert.True(result.IsCanceled);
        _sut.AdvanceTo(result.Buffer.End);
        _peer.Send("abc");
        Assert.Equal("abc", Text(await _sut.ReadAsync()));
    }

    [Fact]
    public async Task CancelPendingRead_NonePending_CancelsTheNext()
    {
        _sut.CancelPendingRead();

        Assert.True((await _sut.ReadAsync().WithinLimit()).IsCanceled);
    }

    [Fact]
    public async Task CancelPendingRead_PartOfAMessageBuffered_ReturnsItAndCountsItOnce()
    {
        await HoldPartAsync("abc", consumed: 1);
        var read = _sut.ReadAsync();

        _sut.CancelPendingRead();

        var result = await read.WithinLimit();
        Assert.Equal(("bc", true), (Text(result), result.IsCanceled));
        _sut.AdvanceTo(result.Buffer.End);
        Assert.Equal(3, _sut.ReceivedBytes);
    }

    [Fact]
    public void TryRead_NothingThere_IsFalse()
    {
        Assert.False(_sut.TryRead(out _));

        Assert.Equal(0, _sut.ReceivedBytes);
    }

    [Fact]
    public void TryRead_BytesThere_ReturnsAndCountsThem()
    {
        _peer.Send("abc");

        Assert.True(_sut.TryRead(out var result));

        Assert.Equal("abc", Text(result));
        _sut.AdvanceTo(result.Buffer.GetPosition(2));
        Assert.True(_sut.TryRead(out result));
        Assert.Equal("c", Text(result));
        _sut.AdvanceTo(result.Buffer.End);
        Assert.Equal(3, _sut.ReceivedBytes);
    }

    [Fact]
    public async Task ReadAtLeastAsync_BytesComeInPieces_WaitsForEnough()
    {
        var read = _sut.ReadAtLeastAsync(5);
        _peer.Send("ab");
        _peer.Send("cd");
        Assert.False(read.IsCompleted);

        _peer.Send("ef");

        var result = await read.WithinLimit();
        Assert.Equal("abcdef", Text(result));
        _sut.AdvanceTo(result.Buffer.End);
        Assert.Equal(6, _sut.ReceivedBytes);
    }

    [Fact]
    public async Task ReadAtLeastAsync_PeersFinBeforeEnough_ReturnsWhatThereIs()
    {
        var read = _sut.ReadAtLeastAsync(5);
        _peer.Send("ab");

        _peer.HalfClose();

        var result = await read.WithinLimit();
        Assert.Equal(("ab", true), (Text(result), result.IsCompleted));
    }

    [Fact]
    public async Task ReadAtLeastAsync_EndRequestedWithNothingBuffered_IsEnded()
    {
        var read = _sut.ReadAtLeastAsync(5);

        _sut.EndAtMessageBoundary();

        var result = await read.WithinLimit();
        Assert.Equal(("", true), (Text(result), result.IsCompleted));
    }

    [Fact]
    public async Task ReadAtLeastAsync_EndRequestedWithAPartBuffered_GetsTheRest()
    {
        var read = _sut.ReadAtLeastAsync(5);
        _peer.Send("abc");

        _sut.EndAtMessageBoundary();
        _peer.Send("de");

        var result = await read.WithinLimit();
        Assert.Equal(("abcde", false), (Text(result), result.IsCompleted));
    }

    [Fact]
    public async Task EndAtMessageBoundary_HandlerWaitsWithEverythingConsumed_EndsTheWaitAsThePeersFinWould()
    {
        await ConsumeAsync("request");
        var read = _sut.ReadAsync();

        _sut.EndAtMessageBoundary();

        var result = await read.WithinLimit();
        Assert.Equal(("", true, false), (Text(result), result.IsCompleted, result.IsCanceled));
        _sut.AdvanceTo(result.Buffer.Start, result.Buffer.End);
        await AssertEndedAsync();
    }

    [Fact]
    public async Task EndAtMessageBoundary_NewConnectionWithoutAByte_EndsTheWait()
    {
        var read = _sut.ReadAsync();

        _sut.EndAtMessageBoundary();

        Assert.True((await read.WithinLimit()).IsCompleted);
        await AssertEndedAsync();
    }

    [Fact]
    public async Task EndAtMessageBoundary_HandlerWaitsLater_EndsThatWait()
    {
        _sut.EndAtMessageBoundary();

        var result = await _sut.ReadAsync().WithinLimit();

        Assert.Equal(("", true), (Text(result), result.IsCompleted));
        await AssertEndedAsync();
    }

    [Fact]
    public async Task EndAtMessageBoundary_BytesHadArrived_AreServedFirst()
    {
        _peer.Send("one");
        _sut.EndAtMessageBoundary();

        var result = await _sut.ReadAsync().WithinLimit();
        Assert.Equal(("one", false), (Text(result), result.IsCompleted));
        _peer.Send("two");
        _sut.AdvanceTo(result.Buffer.End);
        result = await _sut.ReadAsync().WithinLimit();
        Assert.Equal(("two", false), (Text(result), result.IsCompleted));
        _sut.AdvanceTo(result.Buffer.End);

        Assert.True((await _sut.ReadAsync().WithinLimit()).IsCompleted);
        Assert.Equal(0, _sut.DiscardedBytes);
    }

    [Fact]
    public async Task EndAtMessageBoundary_HandlerHasHalfAMessage_GetsTheRestAndIsEndedAfterIt()
    {
        await HoldPartAsync("hal", consumed: 0);
        var read = _sut.ReadAsync();

        _sut.EndAtMessageBoundary();
        _peer.Send("f");

        var result = await read.WithinLimit();
        Assert.Equal(("half", false), (Text(result), result.IsCompleted));
        _sut.AdvanceTo(result.Buffer.End);
        Assert.True((await _sut.ReadAsync().WithinLimit()).IsCompleted);
    }

    [Fact]
    public async Task EndAtMessageBoundary_HandlerHasAWholeAndHalfAMessage_IsEndedAfterTheSecond()
    {
        _sut.EndAtMessageBoundary();
        await HoldPartAsync("one\ntw", consumed: 4);
        var read = _sut.ReadAsync();
        _peer.Send("o\n");

        var result = await read.WithinLimit();

        Assert.Equal(("two\n", false), (Text(result), result.IsCompleted));
        _sut.AdvanceTo(result.Buffer.End);
        Assert.True((await _sut.ReadAsync().WithinLimit()).IsCompleted);
    }

    [Fact]
    public async Task EndAtMessageBoundary_HandlerHoldsABuffer_DoesNotTouchIt()
    {
        _peer.Send("abc");
        var result = await _sut.ReadAsync();

        _sut.EndAtMessageBoundary();

        Assert.Equal("abc", Text(result));
        _sut.AdvanceTo(result.Buffer.End);
        Assert.True((await _sut.ReadAsync().WithinLimit()).IsCompleted);
    }

    [Fact]
    public async Task EndAtMessageBoundary_TryReadOnly_ServesWhatArrivesAndIsFalseInBetween()
    {
        _sut.EndAtMessageBoundary();

        // Who only looks never waits, so there is no wait to end.
        Assert.False(_sut.TryRead(out _));
        _peer.Send("abc");
        Assert.True(_sut.TryRead(out var result));
        Assert.Equal("abc", Text(result));
        _sut.AdvanceTo(result.Buffer.End);
        Assert.True((await _sut.ReadAsync().WithinLimit()).IsCompleted);
        Assert.True(_sut.TryRead(out result));
        Assert.True(result.IsCompleted);
    }

    [Fact]
    public async Task EndAtMessageBoundary_PeerSendsAfterTheEnd_IsDiscarded()
    {
        _sut.EndAtMessageBoundary();
        await AssertEndedAsync();

        _peer.Send("late");
        await AssertEndedAsync();
        _peer.HalfClose();

        Assert.Equal([nameof(ITransportEvents.OnBytesDiscarded), nameof(ITransportEvents.OnPeerFin)], _events.Told);
        Assert.Equal((4L, 4L), (_sut.DiscardedBytes, _sut.ReceivedBytes));
    }

    [Fact]
    public async Task EndAtMessageBoundary_TokenOfTheEndedReadIsCancelledLater_DiscardGoesOn()
    {
        using var cancellation = new CancellationTokenSource();
        var read = _sut.ReadAsync(cancellation.Token);
        _sut.EndAtMessageBoundary();
        Assert.True((await read.WithinLimit()).IsCompleted);

        await cancellation.CancelAsync();
        _peer.Send("late");
        _peer.HalfClose();

        Assert.Equal([nameof(ITransportEvents.OnBytesDiscarded), nameof(ITransportEvents.OnPeerFin)], _events.Told);
        Assert.Equal(4, _sut.DiscardedBytes);
    }

    [Fact]
    public async Task EndAtMessageBoundary_ThenCancelPendingRead_DiscardGoesOn()
    {
        _sut.EndAtMessageBoundary();
        await AssertEndedAsync();

        _sut.CancelPendingRead();
        _peer.Send("late");

        Assert.Equal(4, _sut.DiscardedBytes);
        await AssertEndedAsync();
    }

    [Fact]
    public async Task EndAtMessageBoundary_Twice_EndsOnce()
    {
        var read = _sut.ReadAsync();

        _sut.EndAtMessageBoundary();
        _sut.EndAtMessageBoundary();

        Assert.True((await read.WithinLimit()).IsCompleted);
        await AssertEndedAsync();
    }

    [Fact]
    public void Complete_BytesThere_DiscardsThemAtOnceAndWhatComesLater()
    {
        _peer.Send("abc");
        _sut.Complete();
        _peer.Send("de");

        Assert.Equal((5L, 5L), (_sut.DiscardedBytes, _sut.ReceivedBytes));
        _peer.HalfClose();
        Assert.Equal([nameof(ITransportEvents.OnBytesDiscarded), nameof(ITransportEvents.OnBytesDiscarded), nameof(ITransportEvents.OnPeerFin)], _events.Told);
    }

    [Fact]
    public async Task Complete_PartConsumed_DiscardsTheRest()
    {
        await HoldPartAsync("abcdef", consumed: 2);

        _sut.Complete();

        Assert.Equal((4L, 6L), (_sut.DiscardedBytes, _sut.ReceivedBytes));
    }

    [Fact]
    public async Task Complete_BufferInHand_DiscardsAllOfItAndGivesItBack()
    {
        _peer.Send("abc");
        await _sut.ReadAsync();

        _sut.Complete();
        _peer.Send("de");

        Assert.Equal((5L, 5L), (_sut.DiscardedBytes, _sut.ReceivedBytes));
    }

    [Fact]
    public async Task Complete_UsedAfterwards_ThrowsInvalidOperationException()
    {
        _sut.Complete();

        var exception = await Assert.ThrowsAsync<InvalidOperationException>(() => _sut.ReadAsync().WithinLimit());
        Assert.IsNotType<ObjectDisposedException>(exception);
        Assert.Contains("The input was completed", exception.Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => _sut.TryRead(out _));
        Assert.Throws<InvalidOperationException>(() => _sut.AdvanceTo(default));
        _sut.CancelPendingRead(); // Nothing to cancel.
        _sut.Complete();
        Assert.Equal(0, _sut.DiscardedBytes);
    }

    [Fact]
    public async Task Complete_ReadPending_FailsItAndDiscards()
    {
        var read = _sut.ReadAsync();

        _sut.Complete();

        await Assert.ThrowsAsync<InvalidOperationException>(() => read.WithinLimit());
        _peer.Send("abc");
        Assert.Equal(3, _sut.DiscardedBytes);
    }

    [Fact]
    public async Task Close_UsedAfterwards_ThrowsObjectDisposedException()
    {
        _sut.Close();

        var exception = await Assert.ThrowsAsync<ObjectDisposedException>(() => _sut.ReadAsync().WithinLimit());
        Assert.Contains("its handler returned", exception.Message, StringComparison.Ordinal);
        Assert.Throws<ObjectDisposedException>(() => _sut.TryRead(out _));
        Assert.Throws<ObjectDisposedException>(() => _sut.AdvanceTo(default));
        Assert.Throws<ObjectDisposedException>(() => _sut.AdvanceTo(default, default));
        _sut.CancelPendingRead();
        _sut.Complete();
    }

    [Fact]
    public async Task Close_ReadLeftPending_FailsLoudlyInsteadOfHanging()
    {
        var read = _sut.ReadAsync();

        _sut.Close();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => read.WithinLimit());
        _peer.Send("late");
        Assert.Equal(4, _sut.DiscardedBytes);
    }

    [Fact]
    public async Task Close_ReadLeftPendingWithAPartBuffered_DiscardsThePartOnce()
    {
        await HoldPartAsync("abcdef", consumed: 2);
        var read = _sut.ReadAsync();

        _sut.Close();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => read.WithinLimit());
        Assert.Equal(4, _sut.DiscardedBytes);
        _peer.Send("gh");
        Assert.Equal((6L, 8L), (_sut.DiscardedBytes, _sut.ReceivedBytes));
    }

    [Fact]
    public async Task Close_ReadAtLeastLeftPending_FailsLoudlyInsteadOfHanging()
    {
        var read = _sut.ReadAtLeastAsync(10);
        _peer.Send("abc");

        _sut.Close();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => read.WithinLimit());
        Assert.Equal(3, _sut.DiscardedBytes);
    }

    [Fact]
    public void Close_AfterComplete_IsTheExceptionThatIsThrownFromThenOn()
    {
        _peer.Send("abc");
        _sut.Complete();

        _sut.Close();

        Assert.Throws<ObjectDisposedException>(() => _sut.TryRead(out _));
        Assert.Equal(3, _sut.DiscardedBytes);
    }

    [Fact]
    public async Task Close_HandlerHadReadThePeersFin_TellsIt()
    {
        _peer.HalfClose();
        Assert.True((await _sut.ReadAsync()).IsCompleted);
        Assert.Empty(_events.Told);

        _sut.Close();

        Assert.Equal([nameof(ITransportEvents.OnPeerFin)], _events.Told);
    }

    [Fact]
    public async Task Close_TokenOfThePendingReadIsCancelledLater_DiscardGoesOn()
    {
        using var cancellation = new CancellationTokenSource();
        var read = _sut.ReadAsync(cancellation.Token);
        _sut.Close();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => read.WithinLimit());

        await cancellation.CancelAsync();
        _peer.Send("late");

        Assert.Equal(4, _sut.DiscardedBytes);
        Assert.Null(_events.Fault);
    }

    [Fact]
    public async Task Close_PeerSendsAsFastAsWeRead_ReturnsAndDiscardsToTheEnd()
    {
        var flood = new FloodedReader();
        var sut = new InputReader(flood, null, isWrapped: false, _events);
        try
        {
            await Task.Run(sut.Close).WithinLimit();

            var discarded = sut.DiscardedBytes;
            await TestLimit.UntilAsync(() => sut.DiscardedBytes > discarded + 1000);
        }
        finally
        {
            flood.Stop();
        }

        await TestLimit.UntilAsync(() => _events.Told.Contains(nameof(RecordingEvents.OnPeerFin)));
    }

    [Fact]
    public void Close_PeerResetsAfterwards_TellsTheFault()
    {
        _sut.Close();

        _peer.Reset();

        Assert.IsType<ConnectionResetException>(_events.Fault);
        Assert.False(_sut.ResetSeen); // The handler was gone.
    }

    [Fact]
    public void Close_PeerHasReset_TellsTheFault()
    {
        _peer.Reset();

        _sut.Close();

        Assert.IsType<ConnectionResetException>(_events.Fault);
    }

    [Fact]
    public void Close_ApplicationAborts_TellsTheFault()
    {
        _sut.Close();

        _peer.Abort();

        Assert.IsType<ConnectionAbortedException>(_events.Fault);
    }

    private static string Text(ReadResult result) => Encoding.ASCII.GetString(result.Buffer);

    private async Task ConsumeAsync(string text)
    {
        _peer.Send(text);
        var result = await _sut.ReadAsync();
        _sut.AdvanceTo(result.Buffer.End);
    }

    private async Task HoldPartAsync(string text, int consumed)
    {
        _peer.Send(text);
        var result = await _sut.ReadAsync();
        _sut.AdvanceTo(result.Buffer.GetPosition(consumed), result.Buffer.End);
    }

    private async Task AssertEndedAsync()
    {
        var result = await _sut.ReadAsync().WithinLimit();
        Assert.Equal((true, true), (result.Buffer.IsEmpty, result.IsCompleted));
        _sut.AdvanceTo(result.Buffer.End);
    }
}
