using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Listening;

/// <summary>Starts this process's command line again when a signal asks for it, one successor at a time.</summary>
internal sealed class Restarter : IDisposable
{
    // How long a successor that is late has to be heard, if this process stood still when it spoke.
    private static readonly TimeSpan LastWordTime = TimeSpan.FromSeconds(1);

    private readonly PosixSignal _signal;
    private readonly TimeSpan _readyTimeout;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stopped = new(); // Not disposed: what is being started outlives this.
    private readonly PosixSignalRegistration _registration;
    private readonly Lock _lock = new();
    private Task _running = Task.CompletedTask;
    private bool _isReady;
    private bool _isHandedOver;
    private int? _killedId;

    public Restarter(PosixSignal signal, TimeSpan readyTimeout, TimeProvider time, ILogger logger)
    {
        (_signal, _readyTimeout, _time, _logger) = (signal, readyTimeout, time, logger);
        _registration = PosixSignalRegistration.Create(signal, OnSignal);
    }

    /// <summary>
    /// Returns the command line as it was written, so that an executable behind a symbolic link is the one to which the
    /// link leads now.
    /// </summary>
    public static string[] GetCommandLine()
    {
        // A zero ends each argument, and the last ones may be empty.
        var text = Encoding.UTF8.GetString(File.ReadAllBytes("/proc/self/cmdline"));
        return (text.EndsWith('\0') ? text[..^1] : text).Split('\0');
    }

    /// <summary>
    /// This process serves. Until then the signal does nothing, because its default action would end the process.
    /// </summary>
    public void Begin()
    {
        lock (_lock)
        {
            _isReady = true;
        }
    }

    /// <summary>A successor serves from now on, and no further one is started.</summary>
    /// <returns><see langword="false"/> if it was killed a moment ago, because it was late.</returns>
    public bool TryHandOver(int processId)
    {
        lock (_lock)
        {
            _isHandedOver |= processId != _killedId;
            return _isHandedOver;
        }
    }

    /// <summary>
    /// Ends what is being started, unless it has taken over. The signal is still listened to, because its default
    /// action would end this process while it drains.
    /// </summary>
    public async Task StopAsync()
    {
        await _stopped.CancelAsync().ConfigureAwait(false);
        Task running;
        lock (_lock)
        {
            running = _running;
        }

        await running.ConfigureAwait(false);
    }

    public void Dispose() => _registration.Dispose();

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true; // Its default action would end this process.
        if (FirstProcess.IsThis)
        {
            Log.RestartInContainer(_logger, $"{_signal}");
            return;
        }

        var isBusy = false;
        lock (_lock)
        {
            isBusy = !_isReady || _isHandedOver || _stopped.IsCancellationRequested || !_running.IsCompleted;
            _running = isBusy ? _running : Task.Run(RunAsync);
        }

        if (isBusy)
        {
            Log.RestartUnderWay(_logger, $"{_signal}");
        }
    }

    private async Task RunAsync()
    {
        try
        {
            var command = GetCommandLine();
            using var process = Process.Start(new ProcessStartInfo(command[0], command[1..]))!;
            Log.RestartBegan(_logger, $"{_signal}", process.Id);
            await WatchAsync(process).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is IOException or InvalidOperationException or Win32Exception)
        {
            Log.RestartFailed(_logger, $"{_signal}", exception);
        }
    }

    private async Task WatchAsync(Process process)
    {
        using var timeout = new CancellationTokenSource(_readyTimeout, _time);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, _stopped.Token);
        try
        {
            await process.WaitForExitAsync(end.Token).ConfigureAwait(false);
            Log.RestartEnded(_logger, process.Id, process.ExitCode);
        }
        catch (OperationCanceledException)
        {
            if (timeout.IsCancellationRequested)
            {
                await Task.Delay(LastWordTime, _time, _stopped.Token)
                    .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }

            if (TryKill(process))
            {
                var why = timeout.IsCancellationRequested ? "it was not ready in time" : "this process stops";
                Log.RestartKilled(_logger, process.Id, why);
            }
        }
    }

    private bool TryKill(Process process)
    {
        lock (_lock)
        {
            if (!_isHandedOver)
            {
                process.Kill();
                _killedId = process.Id;
            }

            return !_isHandedOver;
        }
    }
}
