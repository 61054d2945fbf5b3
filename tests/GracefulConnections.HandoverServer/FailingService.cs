namespace GracefulConnections.HandoverServer;

/// <summary>Fails, or takes its time, when the server has bound its endpoints and before the host has started.</summary>
internal sealed class FailingService(string way) : IHostedLifecycleService
{
    private static readonly TimeSpan SlowTime = TimeSpan.FromSeconds(2);

    public Task StartedAsync(CancellationToken cancellationToken)
    {
        if (way == "exit")
        {
            Environment.Exit(9);
        }

        return Task.Delay(way == "slow" ? SlowTime : Timeout.InfiniteTimeSpan, cancellationToken);
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
