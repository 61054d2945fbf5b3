using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Tests.Transport;

public sealed class ReadPumpTests : IAsyncDisposable
{
    private readonly InMemoryConnection _peer = new();
    private readonly RecordingEvents _events = new();
    private readonly ReadPump _sut;

    public ReadPumpTests() => _sut = new ReadPump(
        _peer.Transport.Input, null, InputKind.Transport, _events);

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
    public async Task ReadAsync_SecondWhileOneIsAwaited_Throws()
    {
        var read = _sut.ReadAsync().AsTask();

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
        Assert.False(_sut.End.ResetSeen);

        _peer.Reset();

        await Assert.ThrowsAsync<ConnectionResetException>(() => read.WithinLimit());
        Assert.True(_sut.End.ResetSeen);
    }

    [Fact]
    public async Task ReadAsync_PeerHasReset_ThrowsAndIsRemembered()
    {
        _peer.Reset();

        await Assert.ThrowsAsync<ConnectionResetException>(() => _sut.ReadAsync().WithinLimit());
        Assert.True(_sut.End.ResetSeen);
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
    public async Task Complete_ReadPending_CancelsItAndDiscards()
    {
        var read = _sut.ReadAsync();

        _sut.Complete();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());
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
    public async Task Close_ReadLeftPending_CancelsIt()
    {
        var read = _sut.ReadAsync();

        _sut.Close();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());
        _peer.Send("late");
        Assert.Equal(4, _sut.DiscardedBytes);
    }

    [Fact]
    public async Task Close_ReadLeftPendingWithAPartBuffered_DiscardsThePartOnce()
    {
        await HoldPartAsync("abcdef", consumed: 2);
        var read = _sut.ReadAsync();

        _sut.Close();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());
        Assert.Equal(4, _sut.DiscardedBytes);
        _peer.Send("gh");
        Assert.Equal((6L, 8L), (_sut.DiscardedBytes, _sut.ReceivedBytes));
    }

    // The blocks have gone back to the pool: a result that still named them would show another connection's bytes.
    [Fact]
    public async Task Close_ResultNotTakenYet_NamesNoMemoryThatWasGivenBack()
    {
        _peer.Send("abc");
        var read = _sut.ReadAsync();
        Assert.True(read.IsCompletedSuccessfully);

        _sut.Close();

        Assert.True((await read).Buffer.IsEmpty);
        Assert.Equal(3, _sut.DiscardedBytes);
    }

    [Fact]
    public async Task Close_ReadAtLeastLeftPending_CancelsIt()
    {
        var read = _sut.ReadAtLeastAsync(10);
        _peer.Send("abc");

        _sut.Close();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());
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
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());

        await cancellation.CancelAsync();
        _peer.Send("late");

        Assert.Equal(4, _sut.DiscardedBytes);
        Assert.Null(_events.Fault);
    }

    [Fact]
    public async Task Close_PeerSendsAsFastAsWeRead_ReturnsAndDiscardsToTheEnd()
    {
        var flood = new FloodedReader();
        var sut = new ReadPump(flood, null, InputKind.Transport, _events);
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
        Assert.False(_sut.End.ResetSeen); // The handler was gone.
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

    private async Task HoldPartAsync(string text, int consumed)
    {
        _peer.Send(text);
        var result = await _sut.ReadAsync();
        _sut.AdvanceTo(result.Buffer.GetPosition(consumed), result.Buffer.End);
    }
}
