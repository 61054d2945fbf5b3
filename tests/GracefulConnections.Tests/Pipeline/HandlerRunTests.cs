using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using GracefulConnections.Tests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Tests.Pipeline;

public class HandlerRunTests
{
    private InMemoryConnection Connection { get; } = new();

    [Fact]
    public async Task RunAsync_HandlerReturns_GivesItsTask()
    {
        var handler = new TaskCompletionSource();
        ConnectionContext? served = null;
        var end = new TestHandlerRun(
            connection =>
            {
                served = connection;
                return handler.Task;
            },
            Connection).EndAsync();

        handler.SetResult();

        Assert.Same(handler.Task, await end.WithinLimit());
        Assert.Same(Connection, served);
    }

    [Fact]
    public async Task RunAsync_HandlerThrowsBeforeItsFirstAwait_GivesAFaultedTask()
    {
        var end = await new TestHandlerRun(_ => throw new InvalidTimeZoneException(), Connection).EndAsync().WithinLimit();

        await Assert.ThrowsAsync<InvalidTimeZoneException>(() => end!);
    }

    [Fact]
    public async Task RunAsync_HandlerThrowsLater_GivesAFaultedTask()
    {
        var gate = new TaskCompletionSource();
        var end = new TestHandlerRun(
            async _ =>
            {
                await gate.Task;
                throw new InvalidTimeZoneException();
            },
            Connection).EndAsync();
        gate.SetResult();

        await Assert.ThrowsAsync<InvalidTimeZoneException>(async () => await (await end.WithinLimit())!);
    }

    [Fact]
    public async Task RunAsync_HandlerIsCancelled_GivesACancelledTask()
    {
        var end = await new TestHandlerRun(_ => Task.FromCanceled(new CancellationToken(canceled: true)), Connection).EndAsync().WithinLimit();

        Assert.True(end!.IsCanceled);
    }

    [Fact]
    public async Task RunAsync_HandlerReturnsNoTask_GivesAFaultedTask()
    {
        var end = await new TestHandlerRun(_ => null!, Connection).EndAsync().WithinLimit();

        await Assert.ThrowsAsync<InvalidOperationException>(() => end!); // And takes no thread of the pool, and so the process, with it.
    }

    [Fact]
    public async Task RunAsync_Always_RunsTheHandlerOnAThreadOfItsOwn()
    {
        using var release = new ManualResetEventSlim();
        var run = new TestHandlerRun(
            _ =>
            {
                Assert.True(release.Wait(TimeSpan.FromSeconds(60)));
                return Task.CompletedTask;
            },
            Connection);

        var end = run.EndAsync(); // Returns, though the handler blocks.

        Assert.False(end.IsCompleted);
        release.Set();
        Assert.NotNull(await end.WithinLimit());
    }

    [Fact]
    public async Task Abandon_HandlerBlocksItsThread_EndsTheWait()
    {
        using var release = new ManualResetEventSlim();
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var run = new TestHandlerRun(
            _ =>
            {
                started.SetResult();
                Assert.True(release.Wait(TimeSpan.FromSeconds(60)));
                ended.SetResult();
                return Task.CompletedTask;
            },
            Connection);
        var end = run.EndAsync();
        await started.Task.WithinLimit();

        run.Abandon();

        Assert.Null(await end.WithinLimit());
        release.Set();
        await ended.Task.WithinLimit();
    }

    [Fact]
    public async Task Abandon_TaskNeverCompletes_EndsTheWait()
    {
        var run = new TestHandlerRun(_ => new TaskCompletionSource().Task, Connection);
        var end = run.EndAsync();

        run.Abandon();
        run.Abandon();

        Assert.Null(await end.WithinLimit());
    }

    [Fact]
    public async Task Abandon_HandlerEndedBefore_DoesNothing()
    {
        var run = new TestHandlerRun(_ => Task.CompletedTask, Connection);
        var end = await run.EndAsync().WithinLimit();

        run.Abandon();

        Assert.Same(Task.CompletedTask, end);
    }

    [Fact]
    public async Task Abandon_BeforeItBegan_NeverBeginsIt()
    {
        var began = false;
        var run = new TestHandlerRun(
            _ =>
            {
                began = true;
                return Task.CompletedTask;
            },
            Connection);

        run.Abandon();
        Assert.Null(await run.EndAsync().WithinLimit());
        run.Execute();

        Assert.False(began);
    }

    [Fact]
    public void Abandon_HandlerFaultsLater_LeavesNoExceptionUnobserved()
    {
        var unobserved = new ConcurrentQueue<Exception>();
        void Observe(object? sender, UnobservedTaskExceptionEventArgs args) => unobserved.Enqueue(args.Exception.GetBaseException());
        TaskScheduler.UnobservedTaskException += Observe;
        try
        {
            AbandonAndFault(Connection);
            for (var i = 0; i < 3; i++)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
        }
        finally
        {
            TaskScheduler.UnobservedTaskException -= Observe;
        }

        Assert.DoesNotContain(unobserved, exception => exception is AbandonedException);

        // A method of its own, so that nothing on this one's stack keeps the tasks alive.
        [MethodImpl(MethodImplOptions.NoInlining)]
        static void AbandonAndFault(InMemoryConnection connection)
        {
            using var began = new ManualResetEventSlim();
            var handler = new TaskCompletionSource();
            var run = new TestHandlerRun(
                _ =>
                {
                    began.Set();
                    return handler.Task;
                },
                connection);
            var end = run.EndAsync();
            Assert.True(began.Wait(TestLimit.Longest));
            run.Abandon();
            handler.SetException(new AbandonedException());
            Assert.True(end.Wait(TestLimit.Longest));
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task RunAsync_ExecutionContext_FlowsIntoTheHandler(bool flows)
    {
        var ambient = new AsyncLocal<string?> { Value = "the server's scope" };
        string? seen = null;
        Task<Task?> end;
        using (flows ? default(AsyncFlowControl?) : ExecutionContext.SuppressFlow())
        {
            end = new TestHandlerRun(
                _ =>
                {
                    seen = ambient.Value;
                    return Task.CompletedTask;
                },
                Connection).EndAsync();
        }

        await end.WithinLimit();

        Assert.Equal(flows ? "the server's scope" : null, seen);
    }

    private sealed class AbandonedException : Exception;
}
