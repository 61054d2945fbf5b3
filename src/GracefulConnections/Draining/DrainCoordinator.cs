using System.Diagnostics.Metrics;
using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Draining;

/// <summary>
/// Leads the whole server through its drain: announcement, steps, requests, abort. Each happens once, whether the host
/// stops, somebody calls <see cref="DrainAsync(CancellationToken)"/>, or both.
/// </summary>
internal sealed class DrainCoordinator : IDrainCoordinator, IDisposable
{
    private readonly DrainSteps? _steps;
    private readonly DrainSignal _announced;
    private readonly DrainSignal _started;
    private readonly CancellationTokenSource _hurry = new(); // Not disposed, as those of the signals.
    private readonly TaskCompletionSource _delayEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task? _delay;
    private Task? _live;
    private StopThread? _thread;
    private bool _isPreparing;
    private volatile bool _isDisposed;

    public DrainCoordinator(
        IOptions<ServerDrainOptions> options,
        ILoggerFactory? loggers = null,
        TimeProvider? time = null,
        DrainSteps? steps = null,
        IMeterFactory? meters = null)
    {
        var logger = GuardedLogger.Around(loggers?.CreateLogger(Log.Category) ?? NullLogger.Instance);
        var notifier = new SystemdNotifier(Environment.GetEnvironmentVariable(SystemdNotifier.PathVariable), logger);
        Context = new DrainContext(
            options.Value, time ?? TimeProvider.System, logger, notifier, new DrainTelemetry(meters, logger));
        Registry = new Registry(Context);
        _steps = steps;
        _announced = new DrainSignal(nameof(DrainAnnounced), Context);
        _started = new DrainSignal(nameof(DrainStarted), Context);
        (DrainAnnounced, DrainStarted) = (_announced.Token, _started.Token);
        Context.Telemetry.Observe(() => Phase, () => Registry.LeftCount);
    }

    public DrainContext Context { get; }

    public Registry Registry { get; }

    public CancellationToken DrainAnnounced { get; }

    public CancellationToken DrainStarted { get; }

    public DrainPhase Phase => Context.Phase;

    public int ConnectionCount => Registry.Count;

    /// <summary>Gets or sets whether there may be connections to drain: an endpoint's, or outgoing ones.</summary>
    public bool HasConnections { get; set; }

    public IReadOnlyList<TrackedConnectionInfo> GetConnections() => Snapshot.Take(Registry.GetAll());

    public bool Abort(string connectionId)
    {
        ArgumentNullException.ThrowIfNull(connectionId);
        var connection = Array.Find(Registry.GetAll(), connection => connection.Id == connectionId);
        if (connection is null or { Result: not null })
        {
            return false;
        }

        connection.Abort(CloseReason.Application, isLimit: false);
        return true;
    }

    public async Task<DrainReport> DrainAsync(CancellationToken cancellationToken = default)
    {
        var caller = FindCaller(Registry.GetAll());
        Task live;
        Interleaving.Point();
        lock (Context.Lock)
        {
            // A caller's context is none of the callbacks' and steps' business.
            using (ExecutionContext.SuppressFlow())
            {
                live = _live ??= Task.Run(BeginLiveAsync, CancellationToken.None);
            }
        }

        await live.WaitAsync(cancellationToken).ConfigureAwait(false);
        return await Registry.Whole!.WaitAsync(caller).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    public async Task<DrainReport> DrainAsync(
        Func<TrackedConnectionInfo, bool> filter,
        DrainOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(filter);
        var chosen = Array.FindAll(Registry.GetAll(), connection => filter(connection.GetInfo()));
        var caller = FindCaller(chosen);
        var part = Registry.DrainPart(chosen, options);
        return await part.WaitAsync(caller).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The host stops: from now on a handler that ignores its abort may be left behind.</summary>
    /// <returns>As <see cref="AnnounceAsync"/>.</returns>
    public Task BeginStop()
    {
        if (Context.BeginStop() && Context.Time == TimeProvider.System && !_isDisposed)
        {
            _thread = StopThread.TryStart(Drive, Context.Logger);
        }

        return AnnounceAsync();
    }

    /// <summary>The host has stopped.</summary>
    public void EndStop() => _thread?.End();

    /// <summary>Announces the drain of the whole server, once, without waiting for anything.</summary>
    /// <returns>A task that completes when the announcement's delay is over.</returns>
    public Task AnnounceAsync()
    {
        var isDelayed = !Context.IsHandedOver && !_delayEnded.Task.IsCompleted;
        var delay = isDelayed ? Context.Options.AnnounceDelay : TimeSpan.Zero;
        Interleaving.Point();
        lock (Context.Lock)
        {
            if (_delay is not null)
            {
                return _delay;
            }

            _delay = WaitForDelayAsync(delay);
            Context.Enter_NeedsLock(DrainPhase.Announced);
        }

        Context.Reports.Run();
        Context.Teller.Announced(ConnectionCount, delay, Context.GetExitTime(delay + Context.Options.DrainTimeout));
        _announced.Fire();
        return _delay;
    }

    /// <summary>Nobody waits for the announcement's delay any longer.</summary>
    public void EndDelay() => _delayEnded.TrySetResult();

    /// <summary>
    /// The announcement is over: the drain's time begins, and the application's steps run. Nobody is asked to close
    /// yet.
    /// </summary>
    /// <returns>A task that completes when connections may be asked.</returns>
    public async Task PrepareAsync(CloseReason reason)
    {
        Interleaving.Point();
        if (Interlocked.Exchange(ref _isPreparing, true))
        {
            await _ready.Task.ConfigureAwait(false);
            return;
        }

        try
        {
            await _announced.FireAsync(_hurry.Token).ConfigureAwait(false);
            Registry.BeginWhole(reason);
            await _started.FireAsync(_hurry.Token).ConfigureAwait(false);
            var steps = _steps?.RunAsync(Context, Context.Options.DrainTimeout / 2, _hurry.Token) ?? Task.CompletedTask;
            await steps.ConfigureAwait(false);
        }
        finally
        {
            _ready.TrySetResult();
        }
    }

    /// <summary>The server itself asked the connection to close.</summary>
    public void OnServerRequest(TrackedConnection connection)
    {
        if (Registry.OnServerRequest(connection))
        {
            BeginDraining(CloseReason.HostStopping);
        }
    }

    /// <summary>Asks all connections to close, unless they were asked.</summary>
    public void BeginDraining(CloseReason reason)
    {
        Registry.BeginWhole(reason);
        _started.Fire();
        Registry.StartWhole();
    }

    /// <summary>Aborts all connections now, and those that still come.</summary>
    public void AbortNow()
    {
        Registry.AbortNow();
        EndDelay();
        _hurry.Cancel(); // Runs no callback but those of the waits above.
        BeginDraining(CloseReason.HostStopping);
    }

    /// <summary>Waits until the drain of the whole server has ended, and that of those that came later.</summary>
    public Task WaitAsync()
    {
        BeginDraining(CloseReason.HostStopping);
        return Registry.WhenEnded();
    }

    /// <summary>
    /// The server is gone. A program may stop a host that it has disposed, or whose start failed, so all of this goes
    /// on to work, and waits for nothing.
    /// </summary>
    public void Dispose()
    {
        _isDisposed = true;
        EndDelay();
        _thread?.Dispose();
    }

    private async Task WaitForDelayAsync(TimeSpan delay) => await _delayEnded.Task
        .WaitAsync(delay, Context.Time)
        .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    private async Task BeginLiveAsync()
    {
        await AnnounceAsync().ConfigureAwait(false);
        await PrepareAsync(CloseReason.Drain).ConfigureAwait(false);
        BeginDraining(CloseReason.Drain);
    }

    // A handler that waits for the drain of its own connection would wait for itself.
    private TrackedConnection? FindCaller(TrackedConnection[] drained)
    {
        var caller = TrackedConnection.Caller.Value;
        if (caller is null || !drained.Contains(caller))
        {
            return null;
        }

        Log.DrainAwaitedInside(Context.Logger, caller.Id);
        return caller;
    }

    private void Drive()
    {
        var wheel = TimerWheel.For(Context.Time); // The timers of the connections.
        wheel.Advance(wheel.Now);
        Registry.Drive();
        Context.OnPresent(); // Last: what came due during an absence must find out that it was one.
    }
}
