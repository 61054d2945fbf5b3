using System.Collections.Concurrent;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Draining;

/// <summary>
/// Where the drain meets the host: announces before anything stops, lets the server unbind and ask, and aborts when the
/// operator or the host's own timeout says so.
/// </summary>
internal sealed class DrainHostedService(DrainCoordinator coordinator, IServiceProvider services)
    : IHostedLifecycleService, IDisposable
{
    private readonly IHostApplicationLifetime? _lifetime = services.GetService<IHostApplicationLifetime>();
    private readonly StopSignals _signals = new(coordinator, coordinator.Context);
    private readonly ConcurrentQueue<CancellationTokenRegistration> _timeouts = new(); // Two threads may stop one host.
    private ReloadNotice? _reload;
    private bool _isStopping;

    private ILogger Logger => coordinator.Context.Logger;

    public Task StartingAsync(CancellationToken cancellationToken)
    {
        var budget = new DrainBudget(coordinator.Context.Options);
        var host = services.GetRequiredService<IOptions<HostOptions>>().Value;
        if (!budget.FitsInto(host.ShutdownTimeout))
        {
            Log.ShutdownTimeoutRaised(Logger, host.ShutdownTimeout.TotalSeconds, budget.ToString());
            host.ShutdownTimeout = budget.Total;
        }

        budget.CheckGracePeriod(Logger);
        _signals.Listen();
        return Task.CompletedTask;
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (_lifetime is AnnouncingLifetime announcing)
        {
            announcing.Coordinator = coordinator;
        }
        else
        {
            Log.LifetimeNotReplaced(Logger, _lifetime?.GetType().FullName ?? "missing");
        }

        return Task.CompletedTask;
    }

    public Task StartedAsync(CancellationToken cancellationToken)
    {
        StartedHosts.Add(Logger);
        _reload = new ReloadNotice(services, Logger, coordinator.Context.WatchReload);
        if (!coordinator.HasConnections)
        {
            Log.NothingToDrain(Logger);
        }

        return Task.CompletedTask;
    }

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        if (!Interlocked.Exchange(ref _isStopping, true))
        {
            // The first stop's token. Like stock Kestrel, the drain takes no notice of that of another one.
            _timeouts.Enqueue(cancellationToken.UnsafeRegister(
                static state => ((DrainCoordinator)state!).AbortNow(), coordinator));
        }

        if (_lifetime?.ApplicationStarted.IsCancellationRequested == false)
        {
            coordinator.EndDelay(); // Of a host whose start failed: it serves nobody.
        }

        await coordinator.BeginStop().ConfigureAwait(false);
        await coordinator.PrepareAsync(CloseReason.HostStopping).ConfigureAwait(false);
        coordinator.Registry.OnServerStopping();
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        // A server that stops before us has asked its connections already; for one that comes later, or never asks,
        // this begins to ask.
        coordinator.BeginDraining(CloseReason.HostStopping);
        return Task.CompletedTask;
    }

    public async Task StoppedAsync(CancellationToken cancellationToken)
    {
        await coordinator.WaitAsync().ConfigureAwait(false);
        coordinator.EndStop();
        Dispose();
    }

    public void Dispose()
    {
        StartedHosts.Remove(Logger);
        while (_timeouts.TryDequeue(out var timeout))
        {
            timeout.Dispose();
        }

        _reload?.Dispose();
        _signals.Dispose();
    }
}
