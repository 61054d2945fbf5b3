using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Draining;

/// <summary>
/// Connections that are asked to close together: all of the server, a part, those of an endpoint that stops, or those
/// that came late. Carries out its <see cref="BatchPlan"/>, and ends the moment no connection is left.
/// </summary>
internal sealed class Batch
{
    private readonly DrainContext _context;
    private readonly CloseReason _reason;
    private readonly TimeSpan _window;
    private readonly LogLevel _level;
    private readonly string? _description;
    private readonly HashSet<TrackedConnection> _left = [];
    private readonly Dictionary<TrackedConnection, TrackedConnectionInfo> _aborted = [];
    private readonly DrainTally _tally = new();
    private readonly TaskCompletionSource<DrainReport> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ITimer _timer;
    private TimeSpan _timeout;
    private TimeSpan? _begunAt;
    private TimeSpan _dueAt = TimeSpan.MaxValue;
    private TrackedConnection[] _order = [];
    private BatchPlan _plan;
    private Stage _stage;

    /// <param name="context">What all batches of the host share.</param>
    /// <param name="reason">Why the connections are asked to close.</param>
    /// <param name="window">The time over which the requests are spread.</param>
    /// <param name="timeout">When what is left is aborted.</param>
    /// <param name="level">The level of the lines that say how it goes when nothing is lost.</param>
    /// <param name="description">What the application says about it.</param>
    public Batch(
        DrainContext context,
        CloseReason reason,
        TimeSpan window,
        TimeSpan timeout,
        LogLevel level = LogLevel.Information,
        string? description = null)
    {
        (_context, _reason, _window, _timeout, _level) = (context, reason, window, timeout, level);
        _description = description is null ? null : PeerText.Spell(description);

        // Nobody's execution context, because a batch may outlive the request that began it.
        using (ExecutionContext.SuppressFlow())
        {
            _timer = context.Time.CreateTimer(
                static state => ((Batch)state!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    // In the order entered.
    private enum Stage
    {
        Gathering,
        Sorting,
        Asking,
        Over,
    }

    /// <summary>Gets the report, when the batch has ended.</summary>
    public Task<DrainReport> Ended => _ended.Task;

    /// <summary>Gets whether it is settled who is in the schedule.</summary>
    public bool IsStarted_NeedsLock => _stage > Stage.Gathering;

    public bool IsOver_NeedsLock => _stage == Stage.Over;

    /// <summary>Gets whether what was left has been aborted.</summary>
    public bool IsAborting_NeedsLock => _stage == Stage.Asking && _plan.IsAborting;

    /// <summary>Gets the time since the beginning.</summary>
    public TimeSpan Elapsed_NeedsLock => _context.Now - (_begunAt ?? _context.Now);

    /// <summary>
    /// Adds connections. Before <see cref="Start"/> they are scheduled with the others; later the caller calls
    /// <see cref="AskLate"/> once it has released the lock.
    /// </summary>
    public void Join_NeedsLock(params IEnumerable<TrackedConnection> connections) =>
        _tally.ConnectionCount += connections.Count(_left.Add);

    /// <summary>Takes a connection out again, as if it had never joined.</summary>
    /// <returns>Whether it was in it and not yet aborted.</returns>
    public bool Release_NeedsLock(TrackedConnection connection)
    {
        if (_stage == Stage.Over || _aborted.ContainsKey(connection) || !_left.Remove(connection))
        {
            return false;
        }

        _tally.ConnectionCount--;
        EndIfEmpty_NeedsLock();
        return true;
    }

    /// <summary>The timeout counts from now on, although nobody is asked before <see cref="Start"/>.</summary>
    /// <param name="startBy">When to start at the latest.</param>
    public void Begin_NeedsLock(TimeSpan startBy)
    {
        _begunAt = _context.Now;
        Wake_NeedsLock(startBy);
    }

    /// <summary>Starts after <paramref name="delay"/>, with all that have joined by then.</summary>
    public void StartAfter_NeedsLock(TimeSpan delay) => Wake_NeedsLock(delay);

    /// <summary>Begins to ask: idle connections first, those that are known to be busy last.</summary>
    public void Start()
    {
        TrackedConnection[] joined;
        Interleaving.Point();
        lock (_context.Lock)
        {
            if (IsStarted_NeedsLock)
            {
                return;
            }

            _stage = Stage.Sorting;
            joined = [.. _left];
        }

        // Outside the lock, because each connection takes its own for it.
        var activities = Array.ConvertAll(joined, static connection => connection.Activity);
        var turns = Array.ConvertAll(activities, static activity => activity switch
        {
            ConnectionActivity.Idle => 0,
            ConnectionActivity.Unknown => 1,
            _ => 2,
        });
        Array.Sort(turns, joined);
        Interleaving.Point();
        lock (_context.Lock)
        {
            _begunAt ??= _context.Now;
            _order = joined;

            // What came before the first request took its time from the spread, which must not become a burst for it.
            var askFrom = Elapsed_NeedsLock;
            var rest = _timeout - askFrom;
            var window = askFrom > TimeSpan.Zero && _window > rest / 2 ? Max(rest / 2, TimeSpan.Zero) : _window;
            var schedule = new SpreadSchedule(joined.Length, window);
            _plan = new BatchPlan(schedule, askFrom, _timeout, _context.Options.ReportInterval);
            _stage = Stage.Asking;
            rest = Max(rest, TimeSpan.Zero);
            _context.Reports.Add(() =>
                BatchReport.Start(_context, _level, activities, _reason, _description, rest));
        }

        Step();
    }

    /// <summary>
    /// Asks a connection that joined after the start now; at the deadline or later, aborts it as it did the others.
    /// </summary>
    public void AskLate(TrackedConnection connection)
    {
        bool isAborting;
        Interleaving.Point();
        lock (_context.Lock)
        {
            isAborting = IsAborting_NeedsLock;
        }

        if (isAborting)
        {
            Abort([connection]);
        }
        else
        {
            Ask(connection);
        }
    }

    /// <summary>Aborts what is left now instead of at the deadline.</summary>
    public void AbortNow_NeedsLock()
    {
        _timeout = TimeSpan.Zero;
        _plan = _plan with { Deadline = TimeSpan.Zero };
        Wake_NeedsLock(TimeSpan.Zero);
    }

    /// <summary>One of the connections has ended, and its handler with it.</summary>
    public void Remove_NeedsLock(TrackedConnection connection, in CloseResult result)
    {
        if (_stage == Stage.Over || !_left.Remove(connection))
        {
            return;
        }

        _tally.Add(result);
        if (result.Outcome != CloseOutcome.Aborted)
        {
            _aborted.Remove(connection); // It ended by itself right before.
        }

        EndIfEmpty_NeedsLock();
    }

    /// <summary>Does what its timer would do, if that is due.</summary>
    public void Drive()
    {
        bool isDue;
        lock (_context.Lock)
        {
            isDue = _context.Now >= _dueAt;
        }

        if (isDue)
        {
            OnTimer();
        }
    }

    private void OnTimer()
    {
        Start();
        Step();
    }

    private void Step()
    {
        TrackedConnection[] asked;
        TrackedConnection[] aborted;
        Interleaving.Point();
        lock (_context.Lock)
        {
            if (_stage != Stage.Asking)
            {
                return; // It is over, or another thread is starting it and comes here afterwards.
            }

            (asked, aborted) = Step_NeedsLock();
        }

        Array.ForEach(asked, Ask);
        Abort(aborted);
        _context.Reports.Run();
        Interleaving.Point();
        lock (_context.Lock)
        {
            if (_stage == Stage.Asking)
            {
                Wake_NeedsLock(_plan.GetNext(Elapsed_NeedsLock) - Elapsed_NeedsLock);
            }
        }
    }

    private (TrackedConnection[] Asked, TrackedConnection[] Aborted) Step_NeedsLock()
    {
        var now = Elapsed_NeedsLock;
        var before = _plan.Asked;
        (_plan, var due) = _plan.At(now);
        switch (due)
        {
            case BatchPlan.Due.Report:
                _context.Reports.Add(() => ReportProgress(now));
                break;
            case BatchPlan.Due.Abort when _left.Count > 0:
                return ([], [.. _left]);
            case BatchPlan.Due.GiveUp:
                End_NeedsLock();
                return ([], []);
        }

        EndIfEmpty_NeedsLock();
        return (Array.FindAll(_order[before.._plan.Asked], _left.Contains), []); // Some ended before their turn.
    }

    private void Ask(TrackedConnection connection) => connection.Ask(_reason, _context.Options.LingerIdleTimeout);

    private void Abort(TrackedConnection[] connections)
    {
        // Before the abort, because an aborted socket tells nothing.
        var infos = Array.ConvertAll(connections, static connection => connection.GetInfo());
        lock (_context.Lock)
        {
            for (var i = 0; i < connections.Length; i++)
            {
                if (_stage != Stage.Over && _left.Contains(connections[i]))
                {
                    _aborted.TryAdd(connections[i], infos[i]); // One that joins at the deadline is aborted twice.
                }
            }
        }

        foreach (var connection in connections)
        {
            connection.Abort(_reason);
        }
    }

    private void EndIfEmpty_NeedsLock()
    {
        if (_stage == Stage.Asking && _left.Count == 0)
        {
            End_NeedsLock();
        }
    }

    private void End_NeedsLock()
    {
        var duration = Elapsed_NeedsLock;
        _stage = Stage.Over;
        _dueAt = TimeSpan.MaxValue;
        _timer.Dispose();
        _context.Reports.Add(() => ReportEnd(duration));
    }

    private void Wake_NeedsLock(TimeSpan delay)
    {
        // A timer rounds down, and would wake before anything is due.
        var sleep = TimeSpan.FromMilliseconds(Math.Ceiling(Max(delay, TimeSpan.Zero).TotalMilliseconds));
        _dueAt = _context.Now + Max(delay, TimeSpan.Zero);
        _timer.Change(sleep, Timeout.InfiniteTimeSpan);
    }

    private void ReportProgress(TimeSpan elapsed)
    {
        TrackedConnection[] left;
        TimeSpan rest;
        lock (_context.Lock)
        {
            if (_stage == Stage.Over)
            {
                return; // The end has been decided since, and its line is next.
            }

            left = [.. _left];
            rest = _plan.Deadline - elapsed;
        }

        BatchReport.Progress(_context, _level, left, elapsed, rest);
    }

    private void ReportEnd(TimeSpan duration)
    {
        foreach (var connection in _left)
        {
            // Without a result the connection was never aborted, for example because it joined at the very end.
            _tally.Add(connection.Result ?? new CloseResult { Reason = _reason, Outcome = CloseOutcome.Aborted });
            BatchReport.Unended(_context, connection);
        }

        TrackedConnectionInfo[] aborted = [.. _aborted.Values.OrderByDescending(static info => info.Age)];
        var report = _tally.ToReport(duration, aborted, _left.Count);
        BatchReport.End(_context, _level, report);
        lock (_context.Lock)
        {
            // A coordinator remembers its last batches; the connections need not live as long.
            _order = [];
            _left.Clear();
            _aborted.Clear();
        }

        _ended.TrySetResult(report);
    }

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;
}
