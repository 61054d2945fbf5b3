using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Draining;

/// <summary>
/// Knows every connection, and which drain asks it to close: that of the whole server, that of a part, or that of an
/// endpoint which Kestrel stops.
/// </summary>
internal sealed partial class DrainCoordinator : IDrainCoordinator, IDisposable
{
    /// <summary>
    /// Kestrel aborts the connections of a reloaded endpoint after 5 s (KestrelServerImpl.RebindAsync in 10.0); ours
    /// comes before, and says what was lost.
    /// </summary>
    public static readonly TimeSpan ReloadTimeout = TimeSpan.FromSeconds(4.5);

    // Those that come when the whole drain has ended share a drain, and with it a deadline, as long as they come so
    // close together.
    private static readonly TimeSpan LateGatherTime = TimeSpan.FromSeconds(1);

    // Kestrel asks an endpoint's connections one after another; those that come so close together are one drain.
    private static readonly TimeSpan GatherDelay = TimeSpan.FromMilliseconds(20);

    private readonly DrainContext _context;
    private readonly HashSet<TrackedConnection> _connections = [];
    private readonly List<Drain> _drains = [];
    private readonly CancellationTokenSource _announced = new();
    private readonly CancellationTokenSource _hurry = new();
    private TaskCompletionSource? _announcement;
    private Task<DrainReport>? _live;
    private Drain? _whole;
    private Drain? _late; // Those that came when the whole drain had ended.
    private Drain? _reload;
    private bool _serverStops;
    private long _serverStopsAt;
    private bool _abortNow;

    public DrainCoordinator(
        IOptions<ServerDrainOptions> options, ILoggerFactory? loggers = null, TimeProvider? time = null)
    {
        var logger = loggers?.CreateLogger(Log.Category) ?? NullLogger.Instance;
        var notifier = new SystemdNotifier(Environment.GetEnvironmentVariable(SystemdNotifier.PathVariable), logger);
        _context = new DrainContext(options.Value, time ?? TimeProvider.System, logger, notifier);
        DrainAnnounced = _announced.Token;
    }

    public DrainPhase Phase
    {
        get
        {
            lock (_context.Lock)
            {
                return _whole switch
                {
                    null => _announcement is null ? DrainPhase.Serving : DrainPhase.Announced,
                    { IsOver_NeedsLock: true } => DrainPhase.Drained,
                    { IsAborting_NeedsLock: true } => DrainPhase.Aborting,
                    _ => DrainPhase.Draining,
                };
            }
        }
    }

    public CancellationToken DrainAnnounced { get; }

    public int ConnectionCount
    {
        get
        {
            lock (_context.Lock)
            {
                return _connections.Count;
            }
        }
    }

    public TimeProvider Time => _context.Time;

    public IReadOnlyList<TrackedConnectionInfo> GetConnections() =>
        Array.ConvertAll(GetTracked(), static connection => connection.GetInfo());

    public Task<DrainReport> DrainAsync(CancellationToken cancellationToken = default)
    {
        Task<DrainReport> live;
        lock (_context.Lock)
        {
            // On the thread pool: the announcement runs the application's callbacks, and a caller's context is none of
            // its business.
            live = _live ??= Task.Run(DrainWholeAsync, CancellationToken.None);
        }

        return live.WaitAsync(cancellationToken);
    }

    public async Task<DrainReport> DrainAsync(
        Func<TrackedConnectionInfo, bool> filter, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(filter);
        var chosen = Array.FindAll(GetTracked(), connection => filter(connection.GetInfo()));
        Drain part;
        lock (_context.Lock)
        {
            part = CreateDrain_NeedsLock(
                CloseReason.Drain, _context.Options.SpreadWindow, _context.Options.DrainTimeout);
            part.Join_NeedsLock(Array.FindAll(chosen, _connections.Contains)); // The others have ended meanwhile.
        }

        part.Start();
        return await part.Ended.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>A connection came. Call it before its first await, and once it can be asked to close.</summary>
    public void Add(TrackedConnection connection)
    {
        Drain? late;
        bool isNew;
        lock (_context.Lock)
        {
            _connections.Add(connection);
            (late, isNew) = _whole is null ? (null, false) : JoinLate_NeedsLock(connection);
        }

        if (isNew)
        {
            late!.Start();
        }
        else
        {
            late?.AskLate(connection);
        }
    }

    /// <summary>A connection has ended, and its handler with it.</summary>
    public void Remove(TrackedConnection connection, in CloseResult result)
    {
        List<Drain>? ended = null;
        lock (_context.Lock)
        {
            _connections.Remove(connection);
            foreach (var drain in _drains)
            {
                if (drain.Remove_NeedsLock(connection, result))
                {
                    (ended ??= []).Add(drain);
                }
            }
        }

        ended?.ForEach(static drain => drain.End());
    }

    /// <summary>
    /// The server itself asked the connection to close: the whole server stops, or only the connection's endpoint does.
    /// Its turn comes.
    /// </summary>
    public void OnServerRequest(TrackedConnection connection)
    {
        Drain? gathering = null;
        lock (_context.Lock)
        {
            if (_whole is not null || !_connections.Contains(connection))
            {
                return; // It has its place in the schedule, or was asked when it came.
            }

            if (!_serverStops)
            {
                if (_reload is null || _reload.IsStarted_NeedsLock)
                {
                    var timeout = Min(_context.Options.DrainTimeout, ReloadTimeout);
                    gathering = _reload = CreateDrain_NeedsLock(
                        CloseReason.Drain, Min(_context.Options.SpreadWindow, timeout / 2), timeout);
                }

                _reload.Join_NeedsLock(connection);
                gathering?.StartAfter_NeedsLock(GatherDelay);
                return;
            }
        }

        BeginDraining(CloseReason.HostStopping);
    }

    /// <summary>Begins the drain of the whole server, unless it has begun.</summary>
    public void BeginDraining(CloseReason reason)
    {
        Drain whole;
        lock (_context.Lock)
        {
            if (_whole is not null)
            {
                return;
            }

            _whole = whole = CreateDrain_NeedsLock(
                reason, _context.Options.SpreadWindow, _context.Options.DrainTimeout);
            whole.Join_NeedsLock(_connections);
        }

        whole.Start();
    }

    /// <summary>Aborts all connections now, and those that still come.</summary>
    public void AbortNow()
    {
        lock (_context.Lock)
        {
            _abortNow = true;
            _drains.ForEach(static drain => drain.AbortNow_NeedsLock());
        }

        _hurry.Cancel(); // Runs no callback but that of the announcement's delay.
        BeginDraining(CloseReason.HostStopping);
    }

    /// <summary>Waits until the drain of the whole server has ended, and that of those that came later.</summary>
    public async Task WaitAsync()
    {
        BeginDraining(CloseReason.HostStopping);
        Task[] ended;
        lock (_context.Lock)
        {
            ended = [.. _drains.Select(static drain => drain.Ended)];
        }

        await Task.WhenAll(ended).ConfigureAwait(false);
    }

    public void Dispose()
    {
        _announced.Dispose();
        _hurry.Dispose();
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private async Task<DrainReport> DrainWholeAsync()
    {
        await AnnounceAsync().ConfigureAwait(false);
        BeginDraining(CloseReason.Drain);
        return await _whole!.Ended.ConfigureAwait(false);
    }

    // The whole server drains: into its drain, or, once that has ended, into one for those that come later.
    private (Drain Drain, bool IsNew) JoinLate_NeedsLock(TrackedConnection connection)
    {
        var drain = _whole!.IsOver_NeedsLock ? _late : _whole;
        var isNew = drain is null || drain.IsOver_NeedsLock || (drain == _late && drain.Elapsed > LateGatherTime);
        if (isNew)
        {
            drain = _late = CreateLate_NeedsLock();
        }

        drain!.Join_NeedsLock(connection);
        return (drain, isNew);
    }

    // As much time as the others had; at a host's stop, the rest of its time.
    private Drain CreateLate_NeedsLock()
    {
        var timeout = _context.Options.DrainTimeout;
        if (_serverStops)
        {
            var rest = timeout - _context.Time.GetElapsedTime(_serverStopsAt);
            timeout = rest > TimeSpan.Zero ? rest : TimeSpan.Zero;
        }

        return CreateDrain_NeedsLock(
            _serverStops ? CloseReason.HostStopping : CloseReason.Drain, TimeSpan.Zero, timeout, LogLevel.Debug);
    }

    private Drain CreateDrain_NeedsLock(
        CloseReason reason, TimeSpan window, TimeSpan timeout, LogLevel level = LogLevel.Information)
    {
        var drain = new Drain(_context, reason, window, _abortNow ? TimeSpan.Zero : timeout, level);
        _drains.RemoveAll(static drain => drain.IsOver_NeedsLock);
        _drains.Add(drain);
        return drain;
    }

    private TrackedConnection[] GetTracked()
    {
        lock (_context.Lock)
        {
            return [.. _connections];
        }
    }
}
