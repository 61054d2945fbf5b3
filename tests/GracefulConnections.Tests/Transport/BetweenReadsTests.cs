using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>What the reader does for those who must not meet a read of the transport: close_notify, and the middleware that takes its memory back.</summary>
public sealed class BetweenReadsTests : IAsyncDisposable
{
    private static readonly Habit Scoped = new(
        WasHandedBytes: false, IsUnanswered: false, IsDuplex: false, UsesScopes: true, IsOutsideTls: false);

    private readonly InMemoryConnection _peer = new();
    private readonly RecordingEvents _events = new();
    private readonly ReadPump _sut;
    private int _runs;

    public BetweenReadsTests() => _sut = new ReadPump(
        _peer.Transport.Input,
        null,
        InputKind.Tls,
        _events);

    public ValueTask DisposeAsync() => _peer.DisposeAsync();

    [Fact]
    public async Task RunBetweenReads_NoReadPending_RunsAtOnceAndCancelsNothing()
    {
        _sut.RunBetweenReads(Run);
        Assert.Equal(1, _runs);

        _peer.Send("abc");
        AssertIs("abc", await _sut.ReadAsync());
    }

    [Fact]
    public async Task RunBetweenReads_HandlerWaits_RunsAndTheSameWaitGoesOn()
    {
        var read = _sut.ReadAsync();

        await RunBetweenReadsAsync();
        Assert.False(read.IsCompleted);

        _peer.Send("abc");
        AssertIs("abc", await read.WithinLimit());
        Assert.Equal(3, _sut.ReceivedBytes);
    }

    [Fact]
    public async Task RunBetweenReads_HandlerWaitsForTheRest_GetsItAllAndCountsItOnce()
    {
        await HoldAsync("ab");
        var read = _sut.ReadAsync();

        await RunBetweenReadsAsync();
        Assert.False(read.IsCompleted);

        _peer.Send("c");
        AssertIs("abc", await read.WithinLimit());
        Assert.Equal(3, _sut.ReceivedBytes);
    }

    [Fact]
    public async Task RunBetweenReads_Often_RunsEachOnce()
    {
        var read = _sut.ReadAsync();

        for (var i = 1; i <= 100; i++)
        {
            await RunBetweenReadsAsync();
            Assert.Equal((i, false), (_runs, read.IsCompleted));
        }

        _peer.Send("abc");
        AssertIs("abc", await read.WithinLimit());
    }

    [Fact]
    public async Task RunBetweenReads_HandlerCancelsItsReadAfterwards_SeesItsOwnCancellation()
    {
        var read = _sut.ReadAsync();
        _sut.RunBetweenReads(Run);

        _sut.CancelPendingRead();

        Assert.True((await read.WithinLimit()).IsCanceled);
    }

    [Fact]
    public async Task RunBetweenReads_HandlerHasCancelledItsNextRead_SeesItsOwnCancellation()
    {
        _sut.CancelPendingRead();

        _sut.RunBetweenReads(Run);

        Assert.Equal(1, _runs);
        Assert.True((await _sut.ReadAsync().WithinLimit()).IsCanceled);
    }

    [Fact]
    public async Task RunBetweenReads_ReadWasRefused_DiscardGoesOn()
    {
        var read = _sut.ReadAsync();
        _sut.Ask(new CancellationToken(canceled: true));
        _sut.TryRefuse(Scoped, default, TimeSpan.Zero);
        _sut.TryRefuse(Scoped, default, TimeSpan.Zero); // Without a socket to ask, the second look decides.

        await RunBetweenReadsAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());
        _peer.Send("abc");
        await TestLimit.UntilAsync(() => _sut.DiscardedBytes == 3);
    }

    [Fact]
    public void Close_NobodyReads_NoReadIsUnderWayUntilDiscard()
    {
        _sut.Close();

        _peer.Send("abc");
        Assert.Equal(0, _sut.DiscardedBytes);
        _sut.RunBetweenReads(Run);
        Assert.Equal(1, _runs);
        _sut.Discard();
        Assert.Equal(3, _sut.DiscardedBytes);
        _peer.Send("de");
        Assert.Equal(5, _sut.DiscardedBytes);
    }

    [Fact]
    public async Task RunBetweenReads_Discarding_RunsAndDiscardGoesOn()
    {
        _sut.Close();
        _sut.Discard();

        await RunBetweenReadsAsync();

        _peer.Send("abc");
        _peer.HalfClose();
        await TestLimit.UntilAsync(() => _events.Told.LastOrDefault() == nameof(ITransportEvents.OnPeerFin));
        Assert.Equal(3, _sut.DiscardedBytes);
    }

    [Fact]
    public async Task StopAsync_Discarding_LeavesTheReaderToItsOwner()
    {
        _sut.Close();
        _sut.Discard();
        _peer.Send("abc");
        Assert.Equal(3, _sut.DiscardedBytes);

        await _sut.StopAsync().WithinLimit();

        _peer.Send("de");
        Assert.Equal(3, _sut.DiscardedBytes);
        Assert.True(_peer.Transport.Input.TryRead(out var result));
        AssertIs("de", result);
    }

    [Fact]
    public async Task StopAsync_BeforeTheDiscard_NoneBegins()
    {
        await _sut.StopAsync().WithinLimit();

        _sut.Close();
        _sut.Discard();

        _peer.Send("abc");
        Assert.Equal(0, _sut.DiscardedBytes);
        Assert.True(_peer.Transport.Input.TryRead(out _));
    }

    [Fact]
    public async Task StopAsync_PeersFinWasRead_EndsAndTellsNothingMore()
    {
        _sut.Close();
        _sut.Discard();
        _peer.HalfClose();
        Assert.Equal([nameof(ITransportEvents.OnPeerFin)], _events.Told);

        await _sut.StopAsync().WithinLimit();

        Assert.Equal([nameof(ITransportEvents.OnPeerFin)], _events.Told);
    }

    private static void AssertIs(string expected, ReadResult result) => Assert.Equal((expected, false), (Encoding.ASCII.GetString(result.Buffer), result.IsCanceled));

    private void Run() => _runs++;

    private async Task RunBetweenReadsAsync()
    {
        var ran = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _sut.RunBetweenReads(() =>
        {
            Run();
            ran.SetResult();
        });
        await ran.Task.WithinLimit();
    }

    private async Task HoldAsync(string text)
    {
        _peer.Send(text);
        var result = await _sut.ReadAsync();
        _sut.AdvanceTo(result.Buffer.Start, result.Buffer.End);
    }
}
