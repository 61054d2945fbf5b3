using System.IO.Pipelines;
using GracefulConnections.Tests.Stress.Support;

namespace GracefulConnections.Tests.Stress;

/// <summary>Sequences that the random ones found, around a goodbye.</summary>
public class GoodbyeSequenceTests
{
    [Fact]
    public async Task Goodbye_PeerResetsWhileItWaits_IsCancelledAndTheCloseEnds()
    {
        await using var connection = new MemoryConnection(PipeScheduler.Inline);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var options = new GracefulCloseOptions
        {
            Goodbye = async (_, _, cancellationToken) =>
            {
                await using var registration = cancellationToken.Register(cancelled.SetResult);
                begun.SetResult();
                await cancelled.Task;
            },
        };
        var middleware = MemoryServer.RunAsync(
            connection,
            static context =>
            {
                context.Feature().RequestClose();
                return Task.CompletedTask;
            },
            options);
        await begun.Task.InTimeAsync();

        connection.Reset();

        await cancelled.Task.InTimeAsync();
        Assert.Equal(CloseOutcome.PeerReset, (await connection.Feature().Closed.InTimeAsync()).Outcome);
        await middleware.InTimeAsync();
    }
}
