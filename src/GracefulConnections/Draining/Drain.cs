using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Draining;

/// <summary>
/// Drains a set of connections once: asks them by a schedule, reports, aborts what is left at the deadline, and ends
/// the moment none is left. One timer drives it. Its state is guarded by the lock that also guards which connections
/// there are, so that none is missed and none counted twice.
/// </summary>
internal sealed partial class Drain
{
    /// <summary>How long the handlers of aborted connections get to return.</summary>
    public static readonly TimeSpan HandlerGrace = TimeSpan.FromSeconds(0.5);

    /// <summary>
    /// The time after the deadline in which the process has to exit: the grace, and the rest of the host's stop. As
    /// long as Kestrel's own wait after its abort.
    /// </summary>
    public static readonly TimeSpan ExitTime = TimeSpan.FromSeconds(1);

    private readonly DrainContext _context;
    private readonly CloseReason _reason;
    private readonly TimeSpan _window;
    private readonly TimeSpan _timeout;
    private readonly LogLevel _level;
    private readonly HashSet<TrackedConnection> _left = [];
    private readonly Dictionary<TrackedConnection, TrackedConnectionInfo> _aborted = [];
    private readonly DrainTally _tally = new();
    private readonly TaskCompletionSource<DrainReport> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ITimer _timer;
    private TrackedConnection[] _order = [];
    private SpreadSchedule _schedule;
    private int _asked;
    private long _startedAt;
    private TimeSpan _deadline;
    private TimeSpan _nextReport;
    private TimeSpan _graceEnd = TimeSpan.MaxValue;
    private long _lostBytes;
    private bool _starting;
    private bool _started;
    private bool _over;

    /// <param name="context">What all drains of the host share.</param>
    /// <param name="reason">Why the connections are asked to close.</param>
    /// <param name="window">The time over which the requests are spread.</param>
    /// <param name="timeout">When what is left is aborted.</param>
    /// <param name="level">The level of the lines that say how it goes.</param>
    public Drain(DrainContext context, CloseReason reason, TimeSpan window, TimeSpan timeout, LogLevel level)
    {
        _context = context;
        _reason = reason;
        _window = window;
        _timeout = timeout;
        _deadline = timeout;
        _level = level;

        // Nobody's execution context: a drain may outlive the request that began it.
        using (ExecutionContext.SuppressFlow())
        {
            _timer = context.Time.CreateTimer(
                static state => ((Drain)state!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Gets the report, when the drain has ended.</summary>
    public Task<DrainReport> Ended => _ended.Task;

    /// <summary>Gets whether it is settled who is scheduled.</summary>
    public bool IsStarted_NeedsLock => _starting;

    /// <summary>Gets whether the drain has ended.</summary>
    public bool IsOver_NeedsLock => _over;

    /// <summary>Gets whether what was left has been aborted.</summary>
    public bool IsAborting_NeedsLock => _graceEnd != TimeSpan.MaxValue;

    /// <summary>Gets the time since the start.</summary>
    public TimeSpan Elapsed => _context.Time.GetElapsedTime(_startedAt);

    /// <summary>
    /// Adds connections. Before <see cref="Start"/> they will be scheduled with the others; later the caller calls <see
    /// cref="AskLate"/> once it has released the lock.
    /// </summary>
    public void Join_NeedsLock(params IReadOnlyCollection<TrackedConnection> connections)
    {
        foreach (var connection in connections)
        {
            if (_left.Add(connection))
            {
                _tally.Join();
            }
        }
    }

    /// <summary>Starts after <paramref name="delay"/>, with all that have joined by then.</summary>
    public void StartAfter_NeedsLock(TimeSpan delay) => Wake_NeedsLock(delay);

    /// <summary>Begins to ask: idle connections first.</summary>
    public void Start()
    {
        TrackedConnection[] joined;
        lock (_context.Lock)
        {
            if (_starting)
            {
                return; // An abort woke the timer meanwhile; the first step will see it.
            }

            _starting = true;
            joined = [.. _left];
        }

        // Outside the lock: to tell busy from idle takes each connection's own.
        var isBusy = Array.ConvertAll(joined, static connection => connection.IsBusy);
        var busyCount = isBusy.Count(static busy => busy);
        Array.Sort(isBusy, joined);
        lock (_context.Lock)
        {
            _order = joined;
            _schedule = new SpreadSchedule(joined.Length, _window);
            _startedAt = _context.Time.GetTimestamp();
            _nextReport = NextReport(TimeSpan.Zero);
            _started = true;
        }

        Log.DrainStarted(_context.Logger, _level, joined.Length, busyCount, _reason, _timeout.TotalSeconds);
        NotifyServiceManager(joined.Length, TimeSpan.Zero);
        Step();
    }

    /// <summary>
    /// Asks a connection that joined after the start now; at the deadline or later, aborts it as it did the others.
    /// </summary>
    public void AskLate(TrackedConnection connection)
    {
        bool isAborting;
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
        _deadline = TimeSpan.Zero;
        Wake_NeedsLock(TimeSpan.Zero);
    }

    /// <summary>One of the connections has ended, and its handler with it.</summary>
    /// <returns>
    /// Whether it was the last one: then the caller calls <see cref="End()"/> once it has released the lock.
    /// </returns>
    public bool Remove_NeedsLock(TrackedConnection connection, in CloseResult result)
    {
        if (_over || !_left.Remove(connection))
        {
            return false;
        }

        _tally.Add(result);
        if (result.Outcome == CloseOutcome.Aborted)
        {
            _lostBytes += _aborted.ContainsKey(connection) ? result.UnacknowledgedBytes ?? 0 : 0;
        }
        else
        {
            _aborted.Remove(connection); // It ended by itself right before.
        }

        return TryEnd_NeedsLock();
    }

    private void OnTimer()
    {
        bool started;
        lock (_context.Lock)
        {
            started = _started;
        }

        if (started)
        {
            Step();
        }
        else
        {
            Start();
        }
    }

    /// <summary>Does what is due.</summary>
    private void Step()
    {
        TrackedConnection[] asked = [];
        TrackedConnection[] aborted = [];
        TrackedConnection[] unended = [];
        TrackedConnection[] reported = [];
        TimeSpan now;
        bool over;
        lock (_context.Lock)
        {
            if (_over)
            {
                return;
            }

            now = Elapsed;
            if (now >= _graceEnd)
            {
                unended = [.. _left];
                _over = true;
            }
            else if (now >= _deadline && !IsAborting_NeedsLock)
            {
                aborted = [.. _left];
                _graceEnd = now + HandlerGrace;
            }
            else
            {
                asked = IsAborting_NeedsLock ? [] : TakeDue_NeedsLock(now);
                if (now >= _nextReport)
                {
                    reported = [.. _left];
                    _nextReport = NextReport(now);
                }
            }

            over = _over || TryEnd_NeedsLock();
        }

        Array.ForEach(asked, Ask);
        Abort(aborted);
        if (over)
        {
            End(unended);
            return;
        }

        if (reported.Length > 0)
        {
            var states = Holders.DescribeStates(reported);
            var holders = Holders.Describe(reported);
            Log.DrainProgress(_context.Logger, _level, reported.Length, now.TotalSeconds, states, holders);
            NotifyServiceManager(reported.Length, now);
        }

        lock (_context.Lock)
        {
            now = Elapsed;
            var next = IsAborting_NeedsLock ? _graceEnd : Min(_schedule.GetNext(now, _asked), _deadline);
            Wake_NeedsLock(Min(next, _nextReport) - now);
        }
    }

    private void Ask(TrackedConnection connection) => connection.Ask(_reason, _context.Options.LingerIdleTimeout);

    private TrackedConnection[] TakeDue_NeedsLock(TimeSpan now)
    {
        var due = _schedule.GetDue(now);
        var taken = _order[_asked..due];
        _asked = due;
        return Array.FindAll(taken, _left.Contains); // Some ended before their turn.
    }

    private void Wake_NeedsLock(TimeSpan delay)
    {
        // A timer rounds down, and would wake before anything is due.
        var milliseconds = Math.Ceiling(Max(delay, TimeSpan.Zero).TotalMilliseconds);
        _timer.Change(TimeSpan.FromMilliseconds(milliseconds), Timeout.InfiniteTimeSpan);
    }

    private TimeSpan NextReport(TimeSpan now)
    {
        var interval = _context.Options.ReportInterval;
        return interval == Timeout.InfiniteTimeSpan || interval > TimeSpan.MaxValue - now
            ? TimeSpan.MaxValue
            : now + interval;
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;
}
