using System.IO.Pipelines;
using GracefulConnections.Tests.Stress.Support;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Stress;

/// <summary>Sequences around the input that the random ones found, or that a reading of the code did.</summary>
public class ReadPumpSequenceTests
{
    [Fact]
    public async Task RequestClose_BytesInThePipeAndTheReaderNotYetTold_ServesThemFirst()
    {
        var scheduler = new HeldScheduler();
        await using var connection = new MemoryConnection(scheduler);
        var handler = new TaskCompletionSource();
        var time = new FakeTimeProvider();
        var middleware = MemoryServer.RunAsync(connection, _ => handler.Task, time: time);
        var input = connection.Transport.Input;
        var read = Pattern.Read(input);
        connection.Send(10);

        connection.Feature().RequestClose(); // The bytes are in the pipe; whoever waits for them has not run yet.
        scheduler.Release();

        await StressRun.UntilAsync(() => read.IsCompleted, "the read");
        var result = read.GetResult();
        Assert.Equal(10, result.Buffer.Length);
        input.AdvanceTo(result.Buffer.End);
        var boundary = Pattern.Read(input);
        await StressRun.UntilAsync(
            () =>
            {
                time.Advance(TimeSpan.FromMilliseconds(10));
                return boundary.IsCompleted;
            },
            "the read at the boundary");
        Assert.ThrowsAny<OperationCanceledException>(() => boundary.GetResult());
        connection.HalfClose();
        handler.SetResult();
        await StressRun.UntilAsync(
            () =>
            {
                time.Advance(TimeSpan.FromMilliseconds(10)); // Nobody has answered the bytes, so an RST tells of it, in a while.
                return middleware.IsCompleted;
            },
            "the middleware");
        await middleware;
        Assert.Equal(CloseOutcome.Aborted, (await connection.Feature().Closed.InTimeAsync()).Outcome);
    }

    [Fact]
    public async Task TryRead_PeerReset_IsThePeersDoing()
    {
        await using var connection = new MemoryConnection(PipeScheduler.Inline);
        var middleware = MemoryServer.RunAsync(connection, context =>
        {
            connection.Reset();
            context.Transport.Input.TryRead(out _);
            return Task.CompletedTask;
        });

        await middleware.InTimeAsync(); // Does not throw: a reset is no fault of the handler's.

        var result = await connection.Feature().Closed.InTimeAsync();
        Assert.Equal((CloseReason.PeerReset, CloseOutcome.PeerReset), (result.Reason, result.Outcome));
    }
}
