using System.IO.Pipelines;
using GracefulConnections.Tests.Stress.Support;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Stress;

/// <summary>Sequences that the random ones found, on a transport without a socket.</summary>
public class PipeOutputSequenceTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task Return_BlockedFlushesNotAwaited_DeliversEverything(int flushes)
    {
        const int Bytes = 2000; // More than the pipe takes: each of them blocks.
        await using var connection = new MemoryConnection(PipeScheduler.Inline);
        var middleware = MemoryServer.RunAsync(connection, context =>
        {
            for (var i = 0; i < flushes; i++)
            {
                Pattern.Write(context.Transport.Output, i * Bytes, Bytes);
            }

            return Task.CompletedTask;
        });
        connection.HalfClose();
        while (!connection.PeerSawFin)
        {
            Assert.NotEqual(CloseState.Aborted, connection.Feature().State);
            connection.Receive();
        }

        Assert.Equal(CloseOutcome.Graceful, (await connection.Feature().Closed.InTimeAsync()).Outcome);
        Assert.Equal(flushes * Bytes, connection.ReceivedBytes);
        await middleware.InTimeAsync();
    }

    [Fact]
    public async Task Flush_BesideABlockedOne_CompletesWhenThePeerTookBoth()
    {
        await using var connection = new MemoryConnection(PipeScheduler.Inline);
        var handler = new TaskCompletionSource();
        var middleware = MemoryServer.RunAsync(connection, _ => handler.Task);
        var output = connection.Transport.Output;
        var first = Pattern.Write(output, 0, 2000);
        var second = Pattern.Write(output, 2000, 2000);
        Assert.False(first.IsCompleted);
        Assert.False(second.IsCompleted);

        connection.Receive();

        await StressRun.UntilAsync(() => first.IsCompleted && second.IsCompleted, "both flushes");
        Assert.False(first.GetResult().IsCompleted);
        Assert.False(second.GetResult().IsCompleted);
        Assert.Equal(4000, connection.ReceivedBytes);
        connection.HalfClose();
        handler.SetResult();
        await middleware.InTimeAsync();
    }

    [Theory]
    [InlineData(100)]
    [InlineData(2000)]
    public async Task Return_TransportEndedAfterThePeersFinWithOutputUnderWay_IsNotGraceful(int bytes)
    {
        await using var connection = new MemoryConnection(PipeScheduler.Inline);
        var time = new FakeTimeProvider();
        var handler = new TaskCompletionSource();
        var middleware = MemoryServer.RunAsync(connection, _ => handler.Task, time: time);
        connection.HalfClose();
        var first = Pattern.Write(connection.Transport.Output, 0, bytes);
        connection.Reset(); // The input has ended already: nothing but the output can tell.
        Pattern.Write(connection.Transport.Output, bytes, bytes);

        handler.SetResult();
        time.Advance(TimeSpan.FromMilliseconds(10)); // The first look at the delivery.

        Assert.True(first.IsCompleted);
        Assert.Equal(CloseOutcome.PeerReset, (await connection.Feature().Closed.InTimeAsync()).Outcome);
        await middleware.InTimeAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Return_FlushCancelledByTheHandler_WaitsForThePeerAllTheSame(bool beforeTheReturn)
    {
        await using var connection = new MemoryConnection(PipeScheduler.Inline);
        var handler = new TaskCompletionSource();
        var middleware = MemoryServer.RunAsync(connection, _ => handler.Task);
        var output = connection.Transport.Output;
        Pattern.At(0, 2000).CopyTo(output.GetMemory(2000));
        output.Advance(2000);
        if (beforeTheReturn)
        {
            output.CancelPendingFlush();
        }

        handler.SetResult();
        if (!beforeTheReturn)
        {
            output.CancelPendingFlush(); // On a kept reference.
        }

        Assert.Equal(CloseState.Flushing, connection.Feature().State);
        connection.Receive();
        Assert.Equal(CloseState.Lingering, connection.Feature().State);
        connection.HalfClose();
        await middleware.InTimeAsync();
        Assert.Equal(2000, connection.ReceivedBytes);
    }
}
