using Microsoft.Extensions.Hosting;

namespace GracefulConnections.FunctionalTests.Listening.Support;

/// <summary>Holds a host's start when it has bound its endpoints and before it has started.</summary>
internal sealed class SlowStart : IHostedLifecycleService
{
    private readonly TaskCompletionSource _isStarting = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _goesOn = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Gets the task that ends when the host is held.</summary>
    public Task IsStarting => _isStarting.Task;

    public void GoOn() => _goesOn.TrySetResult();

    public Task StartedAsync(CancellationToken cancellationToken)
    {
        _isStarting.TrySetResult();
        return _goesOn.Task;
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
