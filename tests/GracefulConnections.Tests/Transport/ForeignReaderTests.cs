using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>The reader below is foreign code: it may block, ignore its cancellation, or run the handler inline.</summary>
public sealed class ForeignReaderTests : IDisposable
{
    private static readonly Habit Scoped = new(
        WasHandedBytes: false, IsUnanswered: false, IsDuplex: false, UsesScopes: true, IsOutsideTls: false);

    private readonly ScriptedReader _inner = new();
    private readonly RecordingEvents _events = new();

    public void Dispose() => _inner.Dispose();

    [Fact]
    public async Task ReadAsync_InnerReaderBlocks_HoldsNoLock()
    {
        var sut = Create(InputKind.Transport);
        _inner.Block();
        var reading = Task.Run(() => sut.ReadAsync().AsTask());
        await _inner.Entered.WithinLimit();

        // Each of them looks at what the blocked thread has, or changes it.
        await Task.Run(() =>
        {
            Assert.True(sut.IsWaiting);
            sut.Ask(new CancellationToken(canceled: true));
            Assert.Null(sut.TryRefuse(Scoped, default, TimeSpan.Zero));
            sut.RunBetweenReads(static () => { });
            sut.Close();
        }).WithinLimit();

        _inner.Unblock();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading.WithinLimit());
    }

    [Fact]
    public async Task Close_ForeignReaderIgnoresItsCancellation_DoesNotBlockAndStopStaysPending()
    {
        var sut = Create(InputKind.Foreign);
        var read = sut.ReadAsync();
        sut.Ask(new CancellationToken(canceled: true));
        sut.TryRefuse(Scoped, default, TimeSpan.Zero);
        Assert.Null(sut.TryRefuse(Scoped, default, TimeSpan.Zero));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());

        await Task.Run(sut.Close).WithinLimit();
        var stop = sut.StopAsync();

        Assert.False(stop.IsCompleted); // The read that the close request took from the handler is ours.
        await TestLimit.UntilAsync(() => _inner.Cancellations > 0);
        _inner.Complete(Result(isCanceled: true));
        await stop.WithinLimit();
        Assert.Equal(1, _inner.Reads);
    }

    [Fact]
    public async Task StopAsync_HandlerLeftAReadOfAForeignReaderPending_DoesNotWaitForIt()
    {
        var sut = Create(InputKind.Foreign);
        var read = sut.ReadAsync();
        sut.Close();

        Assert.True(sut.StopAsync().IsCompletedSuccessfully); // As on a connection that nobody took over.
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());
    }

    [Fact]
    public void Close_ForeignReader_IsNeverReadByUs()
    {
        var sut = Create(InputKind.Foreign);

        sut.Close();
        sut.Discard();

        Assert.Equal(0, _inner.Reads);
    }

    [Fact]
    public void Complete_ForeignReader_IsNeverReadByUs()
    {
        var sut = Create(InputKind.Foreign);

        sut.Complete();
        sut.Discard();

        Assert.Equal(0, _inner.Reads);
    }

    // The handler goes on inside of SetResult, reads again, and the next cancel must find that read and not the one before.
    [Fact]
    public async Task RunBetweenReads_ReaderRunsItsWaitersInline_RunsEachOnce()
    {
        _inner.HeedsCancellation = true;
        var sut = Create(InputKind.Tls);
        var handler = CountAsync(sut);
        var runs = 0;

        for (var i = 1; i <= 10; i++)
        {
            var reads = 2 * i; // The one that is cancelled, and the next for the same wait.
            sut.RunBetweenReads(() => runs++);
            await TestLimit.UntilAsync(() => _inner.Reads == reads);
            Assert.Equal(i, runs);
            _inner.Complete(Result(bytes: 1));
            await TestLimit.UntilAsync(() => _inner.Reads == reads + 1); // The handler's next, perhaps on another thread.
        }

        _inner.Complete(Result(isCompleted: true));
        Assert.Equal(10, await handler.WithinLimit());
    }

    [Fact]
    public async Task RunBetweenReads_BytesComeTogetherWithOurCancel_AreTheHandlersAndNotExamined()
    {
        var sut = Create(InputKind.Tls);
        var read = sut.ReadAsync();
        var ran = false;
        sut.RunBetweenReads(() => ran = true);

        _inner.Complete(Result(bytes: 3, isCanceled: true)); // Both at once, as a pipe may tell it.

        var result = await read.WithinLimit();
        Assert.Equal((3L, false, false), (result.Buffer.Length, result.IsCanceled, result.IsCompleted));
        Assert.True(ran);
        Assert.Equal((3L, 0), (sut.ReceivedBytes, _inner.Advances));
    }

    [Fact]
    public async Task CancelPendingRead_HandlersOwnCancelMeetsOurs_IsTheHandlers()
    {
        var sut = Create(InputKind.Tls);
        var read = sut.ReadAsync();
        sut.RunBetweenReads(static () => { });
        sut.CancelPendingRead();

        _inner.Complete(Result(isCanceled: true));

        Assert.True((await read.WithinLimit()).IsCanceled);
    }

    [Fact]
    public void Close_TaskOfAPendingReadIsDropped_IsNoUnobservedException()
    {
        Exception? unobserved = null;
        TaskScheduler.UnobservedTaskException += Note;
        try
        {
            LeaveAReadPending();
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        finally
        {
            TaskScheduler.UnobservedTaskException -= Note;
        }

        Assert.Null(unobserved);

        void Note(object? sender, UnobservedTaskExceptionEventArgs e)
        {
            if (e.Exception.ToString().Contains(nameof(ReadPump), StringComparison.Ordinal)
                || e.Exception.InnerException is ObjectDisposedException or OperationCanceledException)
            {
                unobserved = e.Exception;
            }
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)] // Else the task would live on in the test's own frame.
    private void LeaveAReadPending()
    {
        var sut = Create(InputKind.Transport);
        var read = sut.ReadAsync().AsTask();
        sut.Close();
        ((IAsyncResult)read).AsyncWaitHandle.WaitOne(TestLimit.Longest);
        Assert.True(read.IsCanceled);
    }

    private static ReadResult Result(int bytes = 0, bool isCanceled = false, bool isCompleted = false) =>
        new(new ReadOnlySequence<byte>(new byte[bytes]), isCanceled, isCompleted);

    private static async Task<long> CountAsync(ReadPump input)
    {
        var count = 0L;
        while (true)
        {
            var result = await input.ReadAsync().ConfigureAwait(false);
            count += result.Buffer.Length;
            input.AdvanceTo(result.Buffer.End);
            if (result.IsCompleted)
            {
                return count;
            }
        }
    }

    private ReadPump Create(InputKind kind) =>
        new(_inner, null, kind, _events);
}
