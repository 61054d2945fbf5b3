using System.Runtime.InteropServices;

/// <summary>
/// Holds the thread of each SIGTERM for a while, as a busy machine does: behind the library's handler, and before the
/// host's. Register it before the library, because handlers run in the reverse order of their registration.
/// </summary>
internal sealed class SlowSignal(TimeSpan time) : IHostedLifecycleService, IDisposable
{
    private PosixSignalRegistration? _registration;

    public Task StartingAsync(CancellationToken cancellationToken)
    {
        _registration = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => Thread.Sleep(time));
        return Task.CompletedTask;
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _registration?.Dispose();
}
