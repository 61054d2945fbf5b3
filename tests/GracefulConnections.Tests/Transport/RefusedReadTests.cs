using System.IO.Pipelines;
using System.Text;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Transport;

/// <summary>A close request cancels the handler's read: never in the middle of a message, and never as an end of the stream.</summary>
public sealed class RefusedReadTests : IAsyncDisposable
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);
    private static readonly BoundaryLimits Limits = new(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(5));
    private static readonly Habit Scoped = new(
        WasHandedBytes: false, IsUnanswered: false, IsDuplex: false, UsesScopes: true, IsOutsideTls: false);

    private readonly CancellationTokenSource _closeRequested = new();
    private readonly FakeTimeProvider _time = new();
    private readonly InMemoryConnection _peer = new();
    private readonly RecordingEvents _events;
    private readonly ReadPump _sut;

    public RefusedReadTests()
    {
        _events = new RecordingEvents(_time);
        _sut = new ReadPump(_peer.Transport.Input, null, InputKind.Transport, _events);
        _closeRequested.Cancel();
    }

    public async ValueTask DisposeAsync()
    {
        _closeRequested.Dispose();
        await _peer.DisposeAsync();
    }

    [Fact]
    public async Task TryRefuse_HandlerWaitsWithEverythingConsumed_CancelsTheReadWithTheToken()
    {
        await ConsumeAsync("request");
        var read = _sut.ReadAsync();

        Refuse();

        await AssertRefusedAsync(read);
        Assert.True(_sut.IsRefused);
        Assert.False(_sut.IsCutOff);
        Assert.Empty(_events.Told); // It is no end of the input.
    }

    [Fact]
    public async Task TryRefuse_NewConnectionWithoutAByte_CancelsTheRead()
    {
        var read = _sut.ReadAsync();

        Refuse();

        await AssertRefusedAsync(read);
    }

    [Fact]
    public async Task TryRefuse_ReadAtLeastWithNothingBuffered_CancelsIt()
    {
        var read = _sut.ReadAtLeastAsync(5);

        Refuse();

        await AssertRefusedAsync(read);
    }

    [Fact]
    public async Task TryRefuse_StreamOnTop_ThrowsAndReturnsNoZero()
    {
        await using var stream = _sut.AsStream(leaveOpen: true);
        var read = stream.ReadAsync(new byte[10]);

        Refuse();

        await AssertRefusedAsync(read);
    }

    [Fact]
    public async Task TryRefuse_CopyToOnTop_Throws()
    {
        using var copy = new MemoryStream();
        var copying = _sut.CopyToAsync(copy);
        _peer.Send("part");
        await TestLimit.UntilAsync(() => copy.Length == 4 && _sut.IsWaiting);

        Refuse();

        var exception = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => copying.WithinLimit());
        Assert.Equal(_closeRequested.Token, exception.CancellationToken);
    }

    [Fact]
    public async Task TryRefuse_NobodyAsked_LeavesTheReadAlone()
    {
        var read = _sut.ReadAsync();

        Assert.Null(TryRefuse(Scoped));

        _peer.Send("abc");
        Assert.Equal("abc", Text(await read.WithinLimit()));
    }

    [Fact]
    public async Task TryRefuse_TakenBack_LeavesTheReadAlone()
    {
        var read = _sut.ReadAsync();
        _sut.Ask(_closeRequested.Token);
        _sut.Keep();

        Assert.Null(TryRefuse(Scoped));
        Assert.Null(TryRefuse(Scoped));

        _peer.Send("abc");
        Assert.Equal("abc", Text(await read.WithinLimit()));
        Assert.False(_sut.IsRefused);
    }

    [Fact]
    public async Task Keep_ReadWasCancelled_ComesTooLate()
    {
        var read = _sut.ReadAsync();
        Refuse();
        _sut.Keep();

        await AssertRefusedAsync(read);
        await AssertRefusedAsync(_sut.ReadAsync());
    }

    [Fact]
    public async Task TryRefuse_HandlerHasHalfAMessage_WaitsForTheRest()
    {
        await HoldPartAsync("half", consumed: 0);
        var read = _sut.ReadAsync();
        _sut.Ask(_closeRequested.Token);

        Assert.Null(TryRefuse(Scoped));
        Assert.Null(TryRefuse(Scoped));

        _peer.Send("!");
        Assert.Equal("half!", Text(await read.WithinLimit()));
    }

    [Fact]
    public async Task TryRefuse_HandlerHoldsABuffer_DoesNotTouchIt()
    {
        _peer.Send("abc");
        var result = await _sut.ReadAsync();
        _sut.Ask(_closeRequested.Token);

        Assert.Null(TryRefuse(Scoped));

        Assert.Equal("abc", Text(result));
        _sut.AdvanceTo(result.Buffer.End);
        Assert.False(_sut.IsRefused);
    }

    [Fact]
    public async Task TryRefuse_HandlerWaitsLater_IsToldAndRefusesThatRead()
    {
        _sut.Ask(_closeRequested.Token);
        Assert.Null(TryRefuse(Scoped)); // It does not wait: nothing to cancel, and no time to come back at.
        Assert.DoesNotContain(nameof(ITransportEvents.OnWaiting), _events.Told);

        var read = _sut.ReadAsync();
        Assert.Single(_events.Told, nameof(ITransportEvents.OnWaiting));
        TryRefuse(Scoped);
        TryRefuse(Scoped);

        await AssertRefusedAsync(read);
    }

    // Nobody tells when the kernel got something, so what it got may be on its way to the reader.
    [Fact]
    public async Task TryRefuse_KernelDoesNotTellWhenItReceived_LooksTwice()
    {
        var read = _sut.ReadAsync().AsTask();
        _sut.Ask(_closeRequested.Token);

        var second = TryRefuse(Scoped);
        Assert.True(second > TimeSpan.Zero);
        _peer.Send("abc"); // It was.
        Assert.Null(TryRefuse(Scoped));

        var result = await read.WithinLimit();
        Assert.Equal("abc", Text(result));
        _sut.AdvanceTo(result.Buffer.End);
        read = _sut.ReadAsync().AsTask();
        Assert.Equal(second, TryRefuse(Scoped)); // Another read, another two looks.
        Assert.Null(TryRefuse(Scoped));
        await AssertRefusedAsync(new ValueTask<ReadResult>(read));
    }

    [Fact]
    public async Task TryRefuse_PeerNotSilentForLongEnough_TellsWhenToLookAgain()
    {
        await ConsumeAsync("request");
        _events.Activity.OnFlushed();
        var read = _sut.ReadAsync().AsTask();
        _sut.Ask(_closeRequested.Token);
        _time.Advance(Limits.QuietTime - Tick);

        Assert.Equal(Tick, TryRefuse(Habit));
        Assert.False(read.IsCompleted);
        _time.Advance(Tick);
        TryRefuse(Habit);
        Assert.Null(TryRefuse(Habit));

        await AssertRefusedAsync(new ValueTask<ReadResult>(read));
        Assert.False(_sut.IsCutOff);
    }

    [Fact]
    public async Task TryRefuse_NotAnswered_IsCutOffAfterTheMessageGap()
    {
        await ConsumeAsync("head");
        var read = _sut.ReadAsync().AsTask();
        _sut.Ask(_closeRequested.Token);
        _time.Advance(Limits.MessageGap - Tick);

        Assert.Equal(Tick, TryRefuse(Habit));
        _time.Advance(Tick);
        TryRefuse(Habit);
        Assert.Null(TryRefuse(Habit));

        await AssertRefusedAsync(new ValueTask<ReadResult>(read));
        Assert.True(_sut.IsCutOff);
    }

    [Fact]
    public async Task TryRefuse_NotAnsweredAndTheHandlersOwnTokenIsCancelled_IsNoCut()
    {
        // A reader that has not noticed the token yet, as on a machine where no thread was free for it.
        var pending = new TaskCompletionSource<ReadResult>();
        var reader = new LateReader(_peer.Transport.Input, pending.Task);
        var sut = new ReadPump(reader, null, InputKind.Transport, _events);
        _events.Activity.OnReceived(isFirst: true);
        _events.Activity.OnHanded();
        using var own = new CancellationTokenSource();
        var read = sut.ReadAsync(own.Token);
        sut.Ask(_closeRequested.Token);
        _time.Advance(Limits.MessageGap);

        await own.CancelAsync();
        var habit = _events.Activity.GetHabit(usesScopes: false, isOutsideTls: false);
        sut.TryRefuse(habit, Limits, Limits.MessageGap);
        Assert.Null(sut.TryRefuse(habit, Limits, Limits.MessageGap));

        await AssertRefusedAsync(read);
        Assert.True(habit.IsUnanswered);
        Assert.False(sut.IsCutOff); // The handler leaves the message itself, and its end is its own.
        pending.SetResult(default);
    }

    [Fact]
    public async Task ReadAsync_AfterTheRefusedOne_ThrowsTwiceAtOnceAndThenAfterASecond()
    {
        var read = _sut.ReadAsync();
        Refuse();
        await AssertRefusedAsync(read);

        Assert.True(_sut.ReadAsync().AsTask().IsCanceled);
        Assert.True(_sut.ReadAsync().AsTask().IsCanceled);
        for (var i = 0; i < 3; i++)
        {
            var late = _sut.ReadAsync().AsTask();
            _time.Advance(ReadPump.RefusalDelay - TimeSpan.FromMilliseconds(1));
            Assert.False(late.IsCompleted);
            _time.Advance(TimeSpan.FromMilliseconds(1));
            await AssertRefusedAsync(new ValueTask<ReadResult>(late));
        }
    }

    [Fact]
    public async Task AfterTheRefusedRead_TryReadThrowsAndTheRestDoesNothing()
    {
        var read = _sut.ReadAsync();
        Refuse();
        await AssertRefusedAsync(read);

        var exception = Assert.ThrowsAny<OperationCanceledException>(() => _sut.TryRead(out _));
        Assert.Equal(_closeRequested.Token, exception.CancellationToken);
        _sut.AdvanceTo(default);
        _sut.AdvanceTo(default, default);
        _sut.CancelPendingRead();
        await AssertRefusedAsync(_sut.ReadAsync());
    }

    [Fact]
    public async Task AfterTheRefusedRead_PeerSends_IsDiscardedAndCounted()
    {
        var read = _sut.ReadAsync();
        Refuse();
        await AssertRefusedAsync(read);

        _peer.Send("late");
        await AssertRefusedAsync(_sut.ReadAsync());
        _peer.HalfClose();

        Assert.Equal([nameof(ITransportEvents.OnBytesDiscarded), nameof(ITransportEvents.OnPeerFin)], _events.Told);
        Assert.Equal((4L, 4L), (_sut.DiscardedBytes, _sut.ReceivedBytes));
    }

    [Fact]
    public async Task AfterTheRefusedRead_ItsTokenIsCancelled_DiscardGoesOn()
    {
        using var cancellation = new CancellationTokenSource();
        var read = _sut.ReadAsync(cancellation.Token);
        Refuse();
        await AssertRefusedAsync(read);

        await cancellation.CancelAsync();
        _peer.Send("late");
        _peer.HalfClose();

        Assert.Equal([nameof(ITransportEvents.OnBytesDiscarded), nameof(ITransportEvents.OnPeerFin)], _events.Told);
        Assert.Equal(4, _sut.DiscardedBytes);
    }

    [Fact]
    public async Task AfterTheRefusedRead_CompleteAndClose_ChangeTheExceptionAndNothingElse()
    {
        var read = _sut.ReadAsync();
        Refuse();
        await AssertRefusedAsync(read);

        _sut.Complete();
        await Assert.ThrowsAsync<InvalidOperationException>(() => _sut.ReadAsync().WithinLimit());
        _sut.Close();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => _sut.ReadAsync().WithinLimit());
        _peer.Send("late");

        Assert.Equal(4, _sut.DiscardedBytes);
    }

    private Habit Habit => _events.Activity.GetHabit(usesScopes: false, isOutsideTls: false);

    private static string Text(ReadResult result) => Encoding.ASCII.GetString(result.Buffer);

    private void Refuse()
    {
        _sut.Ask(_closeRequested.Token);
        TryRefuse(Scoped);
        Assert.Null(TryRefuse(Scoped));
    }

    private TimeSpan? TryRefuse(Habit habit) => _sut.TryRefuse(habit, Limits, TimeSpan.Zero);

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

    private async Task AssertRefusedAsync<T>(ValueTask<T> read)
    {
        var exception = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());
        Assert.Equal(_closeRequested.Token, exception.CancellationToken);
    }

    private sealed class LateReader(PipeReader inner, Task<ReadResult> read) : PipeReader
    {
        public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
        {
        }

        public override void CancelPendingRead() => inner.CancelPendingRead();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);

        public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) => new(read);

        public override bool TryRead(out ReadResult result) => inner.TryRead(out result);
    }
}
