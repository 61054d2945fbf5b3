using System.Runtime.InteropServices;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Draining;

/// <summary>
/// Where the drain meets the host: announces before anything stops, lets the server unbind and ask, and aborts when the
/// operator or the host's own timeout says so.
/// </summary>
internal sealed class DrainHostedService(
    DrainCoordinator coordinator,
    IOptions<ServerDrainOptions> options,
    IServiceProvider services,
    ILoggerFactory? loggers = null)
    : IHostedLifecycleService, IDisposable
{
    private readonly ILogger _logger = loggers?.CreateLogger(Log.Category) ?? NullLogger.Instance;
    private readonly List<IDisposable> _registrations = [];

    public Task StartingAsync(CancellationToken cancellationToken)
    {
        var budget = new DrainBudget(options.Value);
        if (HostShutdownTimeout.Find(services) is { } shutdownTimeout && !budget.FitsInto(shutdownTimeout.Value))
        {
            Log.ShutdownTimeoutRaised(_logger, shutdownTimeout.Value.TotalSeconds, budget.ToString());
            shutdownTimeout.Value = budget.Total;
        }

        CheckGracePeriod(budget);
        return Task.CompletedTask;
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        // From here on: the signal that began the stop has been dispatched, so the next one is the second.
        Register(PosixSignal.SIGTERM);
        Register(PosixSignal.SIGINT);
        Register(PosixSignal.SIGQUIT);
        _registrations.Add(cancellationToken.UnsafeRegister(
            static state => ((DrainCoordinator)state!).AbortNow(), coordinator));
        coordinator.OnHostStopping();
        await coordinator.AnnounceAsync().ConfigureAwait(false);
        coordinator.OnServerStopping();
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        // A server that stops before us has asked its connections already; for one that comes later, or never asks,
        // this begins the drain.
        coordinator.BeginDraining(CloseReason.HostStopping);
        return Task.CompletedTask;
    }

    public async Task StoppedAsync(CancellationToken cancellationToken)
    {
        await coordinator.WaitAsync().ConfigureAwait(false);
        Dispose();
    }

    public void Dispose()
    {
        _registrations.ForEach(static registration => registration.Dispose());
        _registrations.Clear();
    }

    private void Register(PosixSignal signal) => _registrations.Add(PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true; // The host exits by itself, and soon.
        Log.AbortRequested(_logger, signal.ToString(), coordinator.ConnectionCount);
        coordinator.AbortNow();
    }));

    private void CheckGracePeriod(DrainBudget budget)
    {
        var text = Environment.GetEnvironmentVariable(DrainBudget.GracePeriodVariable);
        if (string.IsNullOrEmpty(text))
        {
            return;
        }

        if (DrainBudget.ParseGracePeriod(text) is not { } gracePeriod)
        {
            Log.GracePeriodUnreadable(_logger, DrainBudget.GracePeriodVariable, text);
        }
        else if (!budget.FitsInto(gracePeriod))
        {
            Log.GracePeriodTooShort(
                _logger, DrainBudget.GracePeriodVariable, gracePeriod.TotalSeconds, budget.ToString());
        }
    }
}
