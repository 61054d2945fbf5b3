using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Primitives;

namespace GracefulConnections.Draining;

/// <summary>What all batches of a host share.</summary>
internal sealed class DrainContext(
    ServerDrainOptions options, TimeProvider time, ILogger logger, SystemdNotifier notifier, DrainTelemetry telemetry)
{
    // Kestrel asks an endpoint's connections right after the reload, or a little later on a busy machine.
    private static readonly TimeSpan ReloadTime = TimeSpan.FromSeconds(1);

    /// <summary>
    /// How long nothing must have run to be an absence, such as that of a frozen machine, and how much time handlers
    /// get behind it to finish what they could not finish meanwhile.
    /// </summary>
    public static readonly TimeSpan Grace = TimeSpan.FromSeconds(1);

    private readonly long _epoch = time.GetTimestamp();
    private volatile DrainPhase _phase;
    private Tuple<TimeSpan, Thread>? _stop;
    private volatile bool _isHandedOver;
    private long _reloadedAt = long.MinValue;
    private IChangeToken? _nextReload;
    private long _presentAt = long.MaxValue;

    /// <summary>Gets the lock that guards which connections there are and which batches they are in.</summary>
    public Lock Lock { get; } = new();

    public ServerDrainOptions Options { get; } = options;

    public TimeProvider Time { get; } = time;

    /// <summary>Gets the time since the coordinator was made.</summary>
    public TimeSpan Now => Time.GetElapsedTime(_epoch);

    public ILogger Logger { get; } = logger;

    public DrainTeller Teller { get; } = new(logger, notifier);

    public DrainTelemetry Telemetry { get; } = telemetry;

    /// <summary>Gets what is told, in the order in which it happened.</summary>
    public OrderedActions Reports { get; } = new();

    /// <summary>Gets whether a successor accepts at the same addresses.</summary>
    public bool IsHandedOver => _isHandedOver;

    /// <summary>
    /// Gets whether the configuration was reloaded a moment ago, or is so now: the server may hear of it first.
    /// </summary>
    public bool IsReloading => Volatile.Read(ref _nextReload) is { HasChanged: true }
        || Now.Ticks - ReloadTime.Ticks <= Volatile.Read(ref _reloadedAt);

    /// <summary>Gets whether this process has not run for a while, and what was due meanwhile is not done.</summary>
    public bool WasAbsent => Now.Ticks - Grace.Ticks >= Volatile.Read(ref _presentAt);

    /// <summary>Gets how far the whole server is.</summary>
    public DrainPhase Phase => _phase;

    /// <summary>Gets or sets whether nobody waits any longer: what there is and what comes is aborted.</summary>
    public bool IsAbortingAll_NeedsLock { get; set; }

    /// <summary>Gets when the stop of the host began, and on which thread.</summary>
    public Tuple<TimeSpan, Thread>? Stop => Volatile.Read(ref _stop);

    /// <summary>
    /// Gets whether the process is about to exit, so that a handler that ignores its abort may be left behind.
    /// </summary>
    public bool IsHostStopping => Stop is not null;

    /// <summary>The host stops.</summary>
    /// <returns>Whether this is the first to say so.</returns>
    public bool BeginStop() =>
        Interlocked.CompareExchange(ref _stop, Tuple.Create(Now, Thread.CurrentThread), null) is null;

    /// <summary>Remembers what fires at the next reload. What it replaces has fired.</summary>
    public IChangeToken WatchReload(IChangeToken next)
    {
        if (Volatile.Read(ref _nextReload) is not null)
        {
            OnReloaded();
        }

        Volatile.Write(ref _nextReload, next);
        return next;
    }

    /// <summary>The configuration was reloaded, so the server may be about to stop an endpoint.</summary>
    public void OnReloaded() => Volatile.Write(ref _reloadedAt, Now.Ticks);

    /// <summary>Everything that is due is done. From the first call on it must come several times a second.</summary>
    public void OnPresent() => Volatile.Write(ref _presentAt, Now.Ticks);

    /// <summary>The whole server reaches a phase. The phase changes only here, and never goes back.</summary>
    public void Enter_NeedsLock(DrainPhase phase)
    {
        if (phase > _phase)
        {
            _phase = phase;
            Reports.Add(() => Telemetry.Reached(phase));
        }
    }

    /// <summary>Returns how long a service manager must wait for the exit, if the process is about to exit.</summary>
    public TimeSpan? GetExitTime(TimeSpan rest) =>
        IsHostStopping ? (rest > TimeSpan.Zero ? rest : TimeSpan.Zero) + BatchPlan.ExitTime : null;

    /// <summary>Logs the fault of what the application does, now or when it comes.</summary>
    public void LogFault(Task task, string name, Action<ILogger, string, Exception> log) => task.ContinueWith(
        task => log(Logger, name, task.Exception!),
        CancellationToken.None,
        TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously,
        TaskScheduler.Default);

    /// <summary>
    /// A successor accepts at the same addresses. The stop that follows is not the service's, so the service manager
    /// hears nothing of it.
    /// </summary>
    public void HandOver()
    {
        _isHandedOver = true;
        notifier.Silence();
    }
}
