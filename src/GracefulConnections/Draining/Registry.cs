using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Draining;

/// <summary>Knows every connection, and the batches in which they are asked to close.</summary>
internal sealed partial class Registry(DrainContext context)
{
    /// <summary>
    /// Kestrel aborts the connections of a reloaded endpoint after 5 s (KestrelServerImpl.RebindAsync in 10.0); this
    /// abort comes before, and says what was lost.
    /// </summary>
    public static readonly TimeSpan ReloadTimeout = TimeSpan.FromSeconds(4.5);

    // Those that come when the whole batch has ended share a batch, and with it a deadline, while they come so close.
    private static readonly TimeSpan LateGatherTime = TimeSpan.FromSeconds(1);

    // Kestrel asks an endpoint's connections one after another; those that come so close together are one batch.
    private static readonly TimeSpan GatherDelay = TimeSpan.FromMilliseconds(20);

    private readonly HashSet<TrackedConnection> _connections = [];
    private readonly HashSet<TrackedConnection> _callers = []; // Their handlers wait for the whole batch.
    private readonly List<Batch> _batches = [];
    private Batch? _whole;
    private Batch? _apart; // The callers that the whole batch would wait for.
    private Batch? _late; // Those that came when the whole batch had ended.
    private Batch? _reload;
    private TimeSpan? _serverStopsAt;
    private bool _abortNow;

    /// <summary>Gets how far the batch of the whole server is; <see langword="null"/> while there is none.</summary>
    public DrainPhase? Phase_NeedsLock => _whole switch
    {
        null => null,
        { IsOver_NeedsLock: true } => DrainPhase.Drained,
        { IsAborting_NeedsLock: true } => DrainPhase.Aborting,
        _ => DrainPhase.Draining,
    };

    public int Count
    {
        get
        {
            lock (context.Lock)
            {
                return _connections.Count;
            }
        }
    }

    /// <summary>Gets the report of the whole batch, which has begun.</summary>
    public Task<DrainReport> WholeEnded => _whole!.Ended;

    public TrackedConnection[] GetAll()
    {
        lock (context.Lock)
        {
            return [.. _connections];
        }
    }

    /// <summary>A connection came. Call it before its first await, and once it can be asked to close.</summary>
    public void Add(TrackedConnection connection)
    {
        Batch? late;
        bool isNew;
        Interleaving.Point();
        lock (context.Lock)
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
        Interleaving.Point();
        lock (context.Lock)
        {
            _connections.Remove(connection);
            _callers.Remove(connection);
            foreach (var batch in _batches)
            {
                batch.Remove_NeedsLock(connection, result);
            }
        }

        context.Reports.Run();
    }

    /// <summary>
    /// The server itself asked the connection to close: the whole server stops, or only the connection's endpoint does.
    /// Its turn comes.
    /// </summary>
    /// <returns>Whether it is the server's stop, and the batch of the whole server is to start.</returns>
    public bool OnServerRequest(TrackedConnection connection)
    {
        Interleaving.Point();
        lock (context.Lock)
        {
            if (_serverStopsAt is not null)
            {
                return _whole is not { IsStarted_NeedsLock: true } && _connections.Contains(connection);
            }

            if (_whole is null && _connections.Contains(connection))
            {
                if (_reload is null or { IsStarted_NeedsLock: true })
                {
                    var timeout = Min(context.Options.DrainTimeout, ReloadTimeout);
                    var window = Min(context.Options.SpreadWindow, timeout / 2);
                    _reload = Create_NeedsLock(CloseReason.Drain, window, timeout);
                    _reload.Wake_NeedsLock(GatherDelay);
                }

                _reload.Join_NeedsLock(connection);
            }

            return false;
        }
    }

    /// <summary>
    /// Asks a part to close. A caller in it, whose handler will wait for the report, is asked in a batch of its own.
    /// </summary>
    public Batch DrainPart(TrackedConnection[] chosen, DrainOptions? options, TrackedConnection? caller)
    {
        var timeout = options?.Timeout ?? context.Options.DrainTimeout;
        var window = options?.SpreadWindow ?? context.Options.SpreadWindow;
        window = options is null ? window : Min(window, timeout / 2);
        Batch part;
        Batch apart;
        lock (context.Lock)
        {
            var present = chosen.Where(_connections.Contains).ToLookup(connection => connection == caller);
            part = Create_NeedsLock(CloseReason.Drain, window, timeout, LogLevel.Information, options?.Description);
            part.Join_NeedsLock(present[false]); // The others have ended meanwhile.
            apart = present[true].Any() ? Create_NeedsLock(CloseReason.Drain, window, timeout, LogLevel.Debug) : part;
            apart.Join_NeedsLock(present[true]);
        }

        part.Start();
        apart.Start();
        return part;
    }

    /// <summary>The handler of a connection is going to wait for the batch of the whole server.</summary>
    /// <returns>Whether the connection is there. The batch does not wait for it.</returns>
    public bool SetApart(TrackedConnection caller)
    {
        Batch? own = null;
        lock (context.Lock)
        {
            if (!_connections.Contains(caller))
            {
                return false;
            }

            _callers.Add(caller);
            if (_whole?.Release_NeedsLock(caller) == true)
            {
                own = CreateLate_NeedsLock();
                own.Join_NeedsLock(caller);
            }
        }

        own?.Start();
        context.Reports.Run();
        return true;
    }

    /// <summary>The time of the whole server's drain begins, with all connections. None is asked yet.</summary>
    public void BeginWhole(CloseReason reason)
    {
        Interleaving.Point();
        lock (context.Lock)
        {
            if (_whole is not null)
            {
                return;
            }

            var timeout = context.Options.DrainTimeout;
            _whole = Create_NeedsLock(reason, context.Options.SpreadWindow, timeout);
            _whole.Join_NeedsLock(_connections.Except(_callers));
            _whole.Begin_NeedsLock(startBy: timeout / 2);
            _apart = _callers.Count > 0 ? Create_NeedsLock(reason, TimeSpan.Zero, timeout, LogLevel.Debug) : null;
            _apart?.Join_NeedsLock(_callers);
        }
    }

    /// <summary>Asks all connections, if none was asked before.</summary>
    public void StartWhole()
    {
        _whole!.Start();
        _apart?.Start();
    }

    /// <summary>From now on, what the server asks is its stop.</summary>
    public void OnServerStopping()
    {
        // Outside the lock, because it takes each connection's own.
        var isOver = GetAll().ToLookup(static connection => connection.Result is not null);
        Batch ignored;
        Batch rest;
        lock (context.Lock)
        {
            _serverStopsAt ??= context.Now;
            if (_whole is not { IsOver_NeedsLock: true } || _connections.Count == 0)
            {
                return;
            }

            // A drain while the server went on serving has ended before. What is left are handlers that ignored its
            // abort, and need not be waited for again, and connections that came later.
            ignored = Create_NeedsLock(CloseReason.HostStopping, TimeSpan.Zero, TimeSpan.Zero, LogLevel.Debug);
            ignored.Join_NeedsLock(isOver[true].Where(_connections.Contains));
            rest = CreateLate_NeedsLock();
            rest.Join_NeedsLock(isOver[false].Where(_connections.Contains));
        }

        ignored.Start();
        rest.Start();
    }

    /// <summary>Aborts all batches now, and those that still come.</summary>
    public void AbortNow()
    {
        lock (context.Lock)
        {
            _abortNow = true;
            _batches.ForEach(static batch => batch.AbortNow_NeedsLock());
        }
    }

    /// <summary>Does what is due without a timer.</summary>
    public void Drive() => Array.ForEach(GetBatches(), static batch => batch.Drive());

    /// <summary>Waits for all batches that there are.</summary>
    public Task WhenEnded() => Task.WhenAll(GetBatches().Select(static batch => batch.Ended));

    private Batch[] GetBatches()
    {
        lock (context.Lock)
        {
            return [.. _batches];
        }
    }

    // The whole server drains: into its batch, or, once that has ended, into one for those that come later.
    private (Batch? Batch, bool IsNew) JoinLate_NeedsLock(TrackedConnection connection)
    {
        var batch = _whole!.IsOver_NeedsLock ? _late : _whole;
        var isNew = batch is null or { IsOver_NeedsLock: true }
            || (batch == _late && batch.Elapsed_NeedsLock > LateGatherTime);
        if (isNew)
        {
            batch = _late = CreateLate_NeedsLock();
        }

        batch!.Join_NeedsLock(connection);
        return batch.IsStarted_NeedsLock || isNew ? (batch, isNew) : (null, false);
    }

    // As much time as the others had; at a host's stop, the rest of its time.
    private Batch CreateLate_NeedsLock()
    {
        var timeout = context.Options.DrainTimeout;
        if (_serverStopsAt is { } stopsAt)
        {
            var rest = timeout - (context.Now - stopsAt);
            timeout = rest > TimeSpan.Zero ? rest : TimeSpan.Zero;
        }

        var reason = _serverStopsAt is null ? CloseReason.Drain : CloseReason.HostStopping;
        return Create_NeedsLock(reason, TimeSpan.Zero, timeout, LogLevel.Debug);
    }

    private Batch Create_NeedsLock(
        CloseReason reason, TimeSpan window, TimeSpan timeout,
        LogLevel level = LogLevel.Information, string? description = null)
    {
        var batch = new Batch(context, reason, window, _abortNow ? TimeSpan.Zero : timeout, level, description);
        _batches.RemoveAll(static batch => batch.Ended.IsCompleted);
        _batches.Add(batch);
        return batch;
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;
}
