using GracefulConnections.Diagnostics;
using GracefulConnections.Draining;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Listening;

/// <summary>
/// Where the handover meets the host: takes the listening sockets before the server binds, serves with them once the
/// host has started, and stops the host once a successor does.
/// </summary>
internal sealed class HandoverHostedService(
    IOptions<ListenerHandoverOptions> options,
    ListeningSockets sockets,
    HandoverListenerFactory factory,
    DrainCoordinator coordinator,
    IHostApplicationLifetime lifetime)
    : IHostedLifecycleService, IDisposable
{
    // Not disposed: it holds nothing to free, and a host that was disposed may be stopped, which cancels it.
    private readonly CancellationTokenSource _stopping = new();
    private readonly string? _path = HandoverPath.Of(options.Value);
    private ServiceManager? _manager;
    private Predecessor? _predecessor;
    private HandoverServer? _server;
    private Restarter? _restarter;
    private Task<bool> _running = Task.FromResult(false);

    private ILogger Logger => coordinator.Context.Logger;

    private TimeProvider Time => coordinator.Context.Time;

    private TimeSpan ReadyTimeout => options.Value.ReadyTimeout;

    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        if (!OperatingSystem.IsLinux())
        {
            Log.HandoverNotSupported(Logger);
            return;
        }

        if (options.Value.RestartSignal is { } signal)
        {
            _restarter = new Restarter(signal, ReadyTimeout, Time, Logger);
        }

        factory.CheckIsFirst();
        if (_path is not null)
        {
            _predecessor = await Predecessor.FindAsync(_path, ReadyTimeout, Time, Logger, cancellationToken)
                .ConfigureAwait(false);
        }

        foreach (var socket in _predecessor?.Sockets ?? [])
        {
            sockets.AddPassed(socket);
        }

        if (options.Value.UseServiceManager)
        {
            _manager = new ServiceManager(Logger);
            foreach (var socket in ServiceManager.TakePassed())
            {
                sockets.AddPassed(socket);
            }
        }

        // Behind the last StartedAsync, because a process that fails in one of those must not have taken over.
        lifetime.ApplicationStarted.UnsafeRegister(
            static state => ((HandoverHostedService)state!).OnStarted(), this);
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken)
    {
        if (_path is not null && OperatingSystem.IsLinux())
        {
            _server = new HandoverServer(_path, ReadyTimeout, Time, sockets, Logger);
        }

        return Task.CompletedTask;
    }

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        sockets.OnStopping();
        await _stopping.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose()
    {
        _stopping.Cancel(); // A host that is disposed without a stop: what is below would be a fault to the server.
        _restarter?.Dispose();
        _server?.Dispose();
        _predecessor?.Dispose();
    }

    private void OnStarted()
    {
        _running = RunAsync();
        _ = StopAfterAsync();

        // Not inside of what StoppingAsync waits for: callbacks of ApplicationStopping may wait for that in turn.
        async Task StopAfterAsync()
        {
            if (await _running.ConfigureAwait(false))
            {
                lifetime.StopApplication();
            }
        }
    }

    /// <returns>Whether the host is to stop.</returns>
    private async Task<bool> RunAsync()
    {
        try
        {
            if (!await TakeOverAsync().ConfigureAwait(false))
            {
                return true;
            }

            if (_server is null)
            {
                return false;
            }

            _restarter?.Begin();
            await _server.ServeAsync(HandOverAsync, _stopping.Token).ConfigureAwait(false);
            return true;
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            return false; // The host stops without a successor.
        }
        catch (Exception exception)
        {
            Log.HandoverFaulted(Logger, exception); // A fault of the library's. The server must go on serving.
            sockets.Open(_manager);
            return false;
        }
        finally
        {
            _server?.Dispose();
            if (_restarter is not null)
            {
                await _restarter.StopAsync().ConfigureAwait(false);
            }
        }
    }

    /// <returns><see langword="false"/> if the predecessor goes on, so that this process must end.</returns>
    private async Task<bool> TakeOverAsync()
    {
        string[] addresses = [.. sockets.Active.Select(static listener => listener.Socket.Address)];
        if (_predecessor is { ProcessId: var processId })
        {
            var answer = await _predecessor.ReleaseAsync(addresses, Time, _stopping.Token).ConfigureAwait(false);
            if (answer == PredecessorAnswer.Late)
            {
                Log.TookTooLong(Logger, processId);
                Environment.ExitCode = 1; // A supervisor must not take it for a stop.
                return false;
            }

            Log.TookOver(Logger, string.Join(", ", addresses), processId);
            if (answer == PredecessorAnswer.None)
            {
                Log.OtherProcessSilent(Logger, processId);
            }
        }

        sockets.Open(_manager);
        _server?.Publish();
        _predecessor?.Dispose();
        return true;
    }

    /// <returns><see langword="false"/> if the successor has been killed.</returns>
    private async Task<bool> HandOverAsync(DescriptorChannel successor, string[] addresses)
    {
        if (_restarter?.TryHandOver(successor.ProcessId) == false)
        {
            return false;
        }

        coordinator.Context.HandOver();
        coordinator.EndDelay(); // Of an announcement that was made before.
        sockets.OnStopping();
        foreach (var listener in sockets.Active)
        {
            // The others are no endpoints of the successor's. They go on until the server stops, which empties their
            // queues.
            if (addresses.Contains(listener.Socket.Address))
            {
                await listener.HandOverAsync().ConfigureAwait(false);
            }
        }

        // Before anything is said of a stop, which would otherwise be the service's.
        _manager?.SetMainProcess(successor.ProcessId);
        Log.HandedOver(Logger, string.Join(", ", addresses), successor.ProcessId);
        try
        {
            successor.Send(HandoverProtocol.Gone);
        }
        catch (IOException)
        {
            Log.OtherProcessSilent(Logger, successor.ProcessId); // It died at this very moment, and nobody serves now.
        }

        return true;
    }
}
