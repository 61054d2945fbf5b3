using GracefulConnections;

namespace Worker;

/// <summary>Counts what was sent, and writes the sum down when nobody can add to it any more: after the drain.</summary>
internal sealed class Ledger(IDrainCoordinator drain, IConfiguration configuration, ILogger<Ledger> logger) : IHostedLifecycleService
{
    private long _ticks;
    private int _subscribers;

    /// <summary>A subscriber has got its last tick.</summary>
    public void Add(long ticks)
    {
        Interlocked.Add(ref _ticks, ticks);
        Interlocked.Increment(ref _subscribers);
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask; // The server still serves.

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask; // Others may stop before or after this one: too early to flush.

    public async Task StoppedAsync(CancellationToken cancellationToken)
    {
        // Everything has stopped. Host services that were added before this one stop after it, so the drain may be about to write its report: this waits for that.
        await drain.DrainAsync(cancellationToken);
        var line = $"{_subscribers} subscribers, {_ticks} ticks sent";
        if (configuration["Ledger:Path"] is { Length: > 0 } path)
        {
            await File.AppendAllTextAsync(path, line + Environment.NewLine, cancellationToken);
        }

        logger.LogInformation("Flushed the ledger ({Phase}, {ConnectionCount} connections left): {Line}.", drain.Phase, drain.ConnectionCount, line);
    }
}
