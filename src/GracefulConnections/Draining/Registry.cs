using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Draining;

/// <summary>Knows every connection, and the batches in which they are asked to close.</summary>
internal sealed class Registry(DrainContext context)
{
    /// <summary>
    /// Kestrel aborts the connections of a reloaded endpoint after 5 s (KestrelServerImpl.RebindAsync in 10.0); this
    /// abort comes before, and says what was lost. A server that the application itself stops has more time.
    /// </summary>
    public static readonly TimeSpan ReloadTimeout = TimeSpan.FromSeconds(4.5);

    // Those that come when the whole batch has ended share a batch, and with it a deadline, while they come so close.
    private static readonly TimeSpan LateGatherTime = TimeSpan.FromSeconds(1);

    // Kestrel asks an endpoint's connections one after another; those that come so close together are one batch.
    private static readonly TimeSpan GatherDelay = TimeSpan.FromMilliseconds(20);

    private readonly List<TrackedConnection> _connections = []; // Each knows its place: a set costs twice as much.
    private readonly List<Batch> _batches = [];
    private Batch? _whole;
    private Batch? _late; // Those that came when the whole batch had ended.
    private Batch? _reload;
    private TimeSpan? _serverStopsAt;

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

    /// <summary>Gets how many connections the batches that have not ended wait for.</summary>
    public int LeftCount
    {
        get
        {
            Interleaving.Point();
            lock (context.Lock)
            {
                return _batches.Sum(static batch => batch.LeftCount_NeedsLock);
            }
        }
    }

    /// <summary>Gets the batch of the whole server; <see langword="null"/> until its time begins.</summary>
    public Batch? Whole => Volatile.Read(ref _whole);

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
        Batch? batch;
        Interleaving.Point();
        lock (context.Lock)
        {
            connection.Place_NeedsLock = _connections.Count;
            _connections.Add(connection);
            batch = _whole is { IsOver_NeedsLock: true } ? GetLate_NeedsLock() : _whole;
            batch?.Join_NeedsLock(connection);
        }

        batch?.Drive();
    }

    /// <summary>A connection has ended, and its handler with it.</summary>
    public void Remove(TrackedConnection connection, in CloseResult result)
    {
        Interleaving.Point();
        lock (context.Lock)
        {
            Take_NeedsLock(connection);
            foreach (var batch in _batches)
            {
                batch.Remove_NeedsLock(connection, result);
            }
        }

        context.Reports.Run();
    }

    /// <summary>
    /// The server itself asked the connection to close: the whole server stops, or only the connection's endpoint does,
    /// or another server of the process. Its turn comes.
    /// </summary>
    /// <returns>Whether it is the server's stop, and the batch of the whole server is to start.</returns>
    public bool OnServerRequest(TrackedConnection connection)
    {
        Batch reload;
        Interleaving.Point();
        lock (context.Lock)
        {
            if (_serverStopsAt is not null || connection.Place_NeedsLock < 0)
            {
                return _serverStopsAt is not null && _whole is not { IsStarted_NeedsLock: true };
            }

            // What the old WebHost asks at its stop, which says nothing before. In any other drain of the whole server
            // the connection's turn may come too late.
            if (_whole is { IsOver_NeedsLock: true } or { IsStarted_NeedsLock: true, Reason: not CloseReason.Drain })
            {
                return false;
            }

            if (_reload is null or { IsStarted_NeedsLock: true })
            {
                var isReload = context.IsReloading;
                var timeout = context.Options.DrainTimeout;
                timeout = isReload ? BatchPlan.Min(timeout, ReloadTimeout) : timeout;

                // A reload that only Kestrel knows of, as of a certificate's file, looks like a server that the
                // application stops.
                var window = BatchPlan.Min(context.Options.SpreadWindow, BatchPlan.Min(timeout, ReloadTimeout) / 2);
                _reload = Add_NeedsLock(new Batch(context, CloseReason.Drain, timeout + GatherDelay, GatherDelay)
                {
                    Window = window,
                    MayHaveGrace = !isReload,
                });
            }

            reload = _reload;
            reload.Join_NeedsLock(connection);
        }

        reload.Drive();
        return false;
    }

    /// <summary>Asks a part to close, as far as it has not ended meanwhile.</summary>
    public Batch DrainPart(TrackedConnection[] chosen, DrainOptions? options)
    {
        var timeout = options?.Timeout ?? context.Options.DrainTimeout;
        var window = options?.SpreadWindow ?? context.Options.SpreadWindow;
        Batch part;
        Interleaving.Point();
        lock (context.Lock)
        {
            part = Add_NeedsLock(new Batch(context, CloseReason.Drain, timeout)
            {
                Window = options is null ? window : BatchPlan.Min(window, timeout / 2),
                Description = options?.Description,
            });
            part.Join_NeedsLock(chosen.Where(static connection => connection.Place_NeedsLock >= 0));
        }

        part.Drive();
        return part;
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
            _whole = Add_NeedsLock(new Batch(context, reason, timeout, timeout / 2)
            {
                Window = context.Options.SpreadWindow,
                IsWhole = true,
            });
            _whole.Join_NeedsLock(_connections);
            context.Enter_NeedsLock(DrainPhase.Draining);
        }

        _whole.Drive();
    }

    /// <summary>Asks all connections, if none was asked before.</summary>
    public void StartWhole()
    {
        Interleaving.Point();
        lock (context.Lock)
        {
            _whole!.StartNow_NeedsLock();
        }

        _whole.Drive();
    }

    /// <summary>From now on, what the server asks is its stop.</summary>
    public void OnServerStopping()
    {
        Batch? rest = null;
        Interleaving.Point();
        lock (context.Lock)
        {
            _serverStopsAt ??= context.Now;
            if (_whole is { IsOver_NeedsLock: true })
            {
                // A drain while the server went on serving has ended before. Handlers that ignored its abort had their
                // time. Connections that came later have a batch.
                var left = _connections.FindAll(IsInNoBatch_NeedsLock);
                rest = left.Count > 0 ? AddQuiet_NeedsLock(TimeSpan.Zero, left) : null;
            }
        }

        rest?.Drive();
    }

    /// <summary>Aborts all connections now, and those that still come.</summary>
    public void AbortNow()
    {
        Interleaving.Point();
        lock (context.Lock)
        {
            context.IsAbortingAll_NeedsLock = true;
            _batches.ForEach(static batch => batch.AbortNow_NeedsLock());
        }

        BeginWhole(CloseReason.HostStopping); // First, because the report of the whole server counts them all.
        Drive();
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

    // The last one moves into the place of this one.
    private void Take_NeedsLock(TrackedConnection connection)
    {
        var last = _connections[^1];
        _connections[connection.Place_NeedsLock] = last;
        last.Place_NeedsLock = connection.Place_NeedsLock;
        connection.Place_NeedsLock = -1; // Behind the line before, because it may be the last one itself.
        _connections.RemoveAt(_connections.Count - 1);
    }

    private bool IsInNoBatch_NeedsLock(TrackedConnection connection) =>
        !_batches.Exists(batch => batch.Contains_NeedsLock(connection));

    private Batch GetLate_NeedsLock() =>
        _late is { IsOver_NeedsLock: false } late && late.Elapsed_NeedsLock <= LateGatherTime
            ? late
            : _late = AddQuiet_NeedsLock(GetRest_NeedsLock());

    // As much time as the others had; at a host's stop, the rest of its time.
    private TimeSpan GetRest_NeedsLock()
    {
        var gone = _serverStopsAt is { } stopsAt ? context.Now - stopsAt : TimeSpan.Zero;
        return context.Options.DrainTimeout - BatchPlan.Min(gone, context.Options.DrainTimeout);
    }

    // Asked at once, and told to nobody but a debugger.
    private Batch AddQuiet_NeedsLock(TimeSpan timeout, params IEnumerable<TrackedConnection> connections)
    {
        var reason = _serverStopsAt is null ? CloseReason.Drain : CloseReason.HostStopping;
        var batch = Add_NeedsLock(new Batch(context, reason, timeout) { Level = LogLevel.Debug });
        batch.Join_NeedsLock(connections);
        return batch;
    }

    private Batch Add_NeedsLock(Batch batch)
    {
        _batches.RemoveAll(static batch => batch.Ended.IsCompleted);
        _batches.Add(batch);
        return batch;
    }
}
