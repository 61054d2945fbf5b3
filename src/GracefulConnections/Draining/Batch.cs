using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Draining;

/// <summary>
/// Connections that are asked to close together: all of the server, a part, those of an endpoint that stops, or those
/// that came late. Carries out its <see cref="BatchPlan"/>, and ends the moment no connection is left.
/// </summary>
internal sealed partial class Batch
{
    private readonly DrainContext _context;
    private readonly CloseReason _reason;
    private readonly TimeSpan _window;
    private readonly LogLevel _level;
    private readonly string? _description;
    private readonly BatchMembers _members = new();
    private readonly TaskCompletionSource<DrainReport> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ITimer _timer;
    private TimeSpan _timeout;
    private TimeSpan? _begunAt;
    private TimeSpan _dueAt = TimeSpan.MaxValue;
    private TrackedConnection[] _order = [];
    private BatchPlan _plan;
    private Stage _stage;

    public Batch(
        DrainContext context, CloseReason reason, TimeSpan window, TimeSpan timeout,
        LogLevel level = LogLevel.Information, string? description = null)
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

    private enum Stage { Gathering, Sorting, Asking, Over }

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
    public void Join_NeedsLock(params IEnumerable<TrackedConnection> connections) => _members.Join(connections);

    /// <summary>Takes a connection out again, as if it had never joined.</summary>
    /// <returns>Whether it was in it and not yet aborted.</returns>
    public bool Release_NeedsLock(TrackedConnection connection)
    {
        var isReleased = _stage != Stage.Over && _members.TryRelease(connection);
        EndIfEmpty_NeedsLock();
        return isReleased;
    }

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
            joined = [.. _members.Left];
        }

        var activities = BatchMembers.Sort(joined);
        Interleaving.Point();
        lock (_context.Lock)
        {
            _begunAt ??= _context.Now;
            _order = joined;
            _plan = BatchPlan.Create(
                joined.Length, _window, Elapsed_NeedsLock, _timeout, _context.Options.ReportInterval);
            _stage = Stage.Asking;
            var rest = Max(_timeout - Elapsed_NeedsLock, TimeSpan.Zero);
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
        if (_stage != Stage.Over)
        {
            _members.NoteEnd(connection, result);
            EndIfEmpty_NeedsLock();
        }
    }

    /// <summary>Does what its timer would do, if that is due.</summary>
    public void Drive()
    {
        lock (_context.Lock)
        {
            if (_context.Now < _dueAt)
            {
                return;
            }
        }

        OnTimer();
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
            case BatchPlan.Due.Abort when _members.Left.Count > 0:
                Reached_NeedsLock(DrainPhase.Aborting);
                return ([], [.. _members.Left]);
            case BatchPlan.Due.GiveUp:
                End_NeedsLock();
                return ([], []);
        }

        EndIfEmpty_NeedsLock();
        return (Array.FindAll(_order[before.._plan.Asked], _members.IsLeft), []); // Some ended before their turn.
    }

    private void Ask(TrackedConnection connection) => connection.Ask(_reason, _context.Options.LingerIdleTimeout);

    private void Abort(TrackedConnection[] connections)
    {
        // Before the abort, because an aborted socket tells nothing.
        var infos = Array.ConvertAll(connections, static connection => connection.GetInfo());
        lock (_context.Lock)
        {
            for (var i = 0; i < connections.Length && _stage != Stage.Over; i++)
            {
                _members.NoteAbort(connections[i], infos[i]);
            }
        }

        Array.ForEach(connections, connection => connection.Abort(_reason));
    }

    private void EndIfEmpty_NeedsLock()
    {
        if (_stage == Stage.Asking && _members.Left.Count == 0)
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

    /// <summary>Does what is due after <paramref name="delay"/>: if nothing else has started it, the start.</summary>
    public void Wake_NeedsLock(TimeSpan delay)
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

            left = [.. _members.Left];
            rest = _plan.Deadline - elapsed;
        }

        BatchReport.Progress(_context, _level, left, elapsed, rest);
    }

    // After the end nothing changes the members, so this needs no lock.
    private void ReportEnd(TimeSpan duration)
    {
        foreach (var connection in _members.Left)
        {
            BatchReport.Unended(_context, connection);
        }

        var report = _members.ToReport(_reason, duration);
        _order = []; // A coordinator remembers its last batches; the connections need not live as long.
        BatchReport.End(_context, _level, report);
        _context.Telemetry.Ended(report, _isWhole);
        _ended.TrySetResult(report);
    }

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;
}
