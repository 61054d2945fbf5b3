using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Draining;

/// <summary>
/// Connections that are asked to close together: all of the server, a part, those of an endpoint that stops, or those
/// that came late. Carries out its <see cref="BatchPlan"/>, and ends the moment no connection is left.
/// </summary>
internal sealed partial class Batch
{
    // How often it looks whether the process runs at all. During a host's stop a thread looks more often.
    private static readonly TimeSpan PresenceInterval = TimeSpan.FromMilliseconds(500);

    private readonly DrainContext _context;
    private readonly CloseReason _reason;
    private readonly TimeSpan _begunAt;
    private readonly ITimer _timer;
    private TrackedConnection[] _turns = [];
    private TimeSpan _timeout;
    private TimeSpan _startAfter;
    private BatchPlan? _plan; // Made when it is known whose turn comes first.
    private TimeSpan _presentAt;
    private int _abortsRunning;
    private bool _hadGrace;

    /// <summary>Begins the time after which what is left is aborted. The first is asked after another time.</summary>
    public Batch(DrainContext context, CloseReason reason, TimeSpan timeout, TimeSpan startAfter = default)
    {
        reason = reason == CloseReason.HostStopping && context.IsHandedOver ? CloseReason.Handover : reason;
        (_context, _reason, _begunAt) = (context, reason, context.Now);
        (_timeout, _startAfter) = context.IsAbortingAll_NeedsLock ? default : (timeout, startAfter);

        // Nobody's execution context, because a batch may outlive the request that began it.
        using (ExecutionContext.SuppressFlow())
        {
            _timer = context.Time.CreateTimer(
                static state => ((Batch)state!).Drive(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Gets the time over which the requests are spread.</summary>
    public TimeSpan Window { get; init; }

    public LogLevel Level { get; init; } = LogLevel.Information;

    public string? Description { get; init; }

    public CloseReason Reason => _reason;

    /// <summary>Gets whether it is that of the whole server, whose phases it goes through.</summary>
    public bool IsWhole { get; init; }

    /// <summary>Gets whether nobody else ends the connections when their time is over.</summary>
    public bool MayHaveGrace { get; init; } = true;

    /// <summary>Gets whether it is settled who has a turn.</summary>
    public bool IsStarted_NeedsLock { get; private set; }

    public bool IsOver_NeedsLock { get; private set; }

    public TimeSpan Elapsed_NeedsLock => _context.Now - _begunAt;

    // A clock that is not the system's may jump, which is no absence.
    private bool LooksForItself => MayHaveGrace && _context.Time == TimeProvider.System;

    /// <summary>The first is asked now.</summary>
    public void StartNow_NeedsLock() => _startAfter = TimeSpan.Zero;

    /// <summary>What is left is aborted now.</summary>
    public void AbortNow_NeedsLock()
    {
        _timeout = _startAfter = TimeSpan.Zero;
        _plan = _plan is { } plan ? plan with { Deadline = TimeSpan.Zero } : null;
    }

    /// <summary>Does what is due. Any thread may call it at any time.</summary>
    public void Drive()
    {
        TrackedConnection[]? turns = null;
        TrackedConnection[] asked;
        TrackedConnection[] aborted;
        Interleaving.Point();
        lock (_context.Lock)
        {
            if (!IsStarted_NeedsLock && Elapsed_NeedsLock >= _startAfter)
            {
                IsStarted_NeedsLock = true;
                turns = TakeJoined_NeedsLock();
            }
        }

        var activities = turns is null ? [] : Sort(turns); // Each connection takes its own lock for it.
        Interleaving.Point();
        lock (_context.Lock)
        {
            var now = Elapsed_NeedsLock; // Once: no absence must come between the moment that is given and the step.
            GiveGrace_NeedsLock(now);
            if (turns is not null)
            {
                Plan_NeedsLock(turns, activities, now);
            }

            (asked, aborted) = Step_NeedsLock(now);
            _abortsRunning += aborted.Length > 0 ? 1 : 0;
        }

        _context.Reports.Run(); // First: what a handler logs when it is asked comes behind "Draining".
        Array.ForEach(asked, connection => connection.Ask(_reason, _context.Options.LingerIdleTimeout));
        Array.ForEach(aborted, connection => connection.Abort(_reason, this));
        _context.Reports.Run();
        Interleaving.Point();
        lock (_context.Lock)
        {
            _abortsRunning -= aborted.Length > 0 ? 1 : 0;
            Wake_NeedsLock();
        }
    }

    // Idle connections first; those that are known to be busy last.
    private static ConnectionActivity[] Sort(TrackedConnection[] connections)
    {
        var activities = Array.ConvertAll(connections, static connection => connection.Activity);
        var turns = Array.ConvertAll(activities, static activity => activity switch
        {
            ConnectionActivity.Idle => 0,
            ConnectionActivity.Unknown => 1,
            _ => 2,
        });
        Array.Sort(turns, connections);
        return activities;
    }

    // The handlers could not finish either while the process did not run: they get a moment, once.
    private void GiveGrace_NeedsLock(TimeSpan now)
    {
        var wasAbsent = _context.WasAbsent || (LooksForItself && now - _presentAt >= DrainContext.Grace);
        _presentAt = now;
        var deadline = now + DrainContext.Grace;
        if (!_hadGrace && _timeout > TimeSpan.Zero && _timeout < deadline
            && _plan is not { IsAborting: true } && wasAbsent)
        {
            (_hadGrace, _timeout) = (true, deadline);
            _plan = _plan is { } plan ? plan with { Deadline = deadline } : null;
        }
    }

    private void Plan_NeedsLock(TrackedConnection[] turns, ConnectionActivity[] activities, TimeSpan now)
    {
        // What came before the first request took its share from the spread, which must not become a burst for it.
        var rest = _timeout > now ? _timeout - now : TimeSpan.Zero;
        var window = rest > TimeSpan.Zero ? Window * (rest / _timeout) : TimeSpan.Zero;
        _turns = turns;
        _plan = new BatchPlan(turns.Length, now, window, _timeout, _context.Options.ReportInterval);
        _context.Reports.Add(() => _context.Teller.Started(
            Level, activities, _reason, Description, rest, _context.GetExitTime(rest)));
    }

    private (TrackedConnection[] Asked, TrackedConnection[] Aborted) Step_NeedsLock(TimeSpan now)
    {
        EndIfEmpty_NeedsLock();
        if (IsOver_NeedsLock || _plan is not { } before)
        {
            return ([], []); // Or another thread is about to make the plan.
        }

        var plan = before.At(now);
        var joined = TakeJoined_NeedsLock();
        if (plan.IsOver)
        {
            if (_abortsRunning == 0) // A thread that aborts thousands may take longer than the grace.
            {
                End_NeedsLock();
            }

            return ([], joined);
        }

        _plan = plan;
        if (plan.NextReport != before.NextReport)
        {
            _context.Reports.Add(() => ReportProgress(now));
        }

        if (!plan.IsAborting)
        {
            return (GetAsked_NeedsLock(_turns[before.Asked..plan.Asked].Concat(joined)), []);
        }

        if (IsWhole)
        {
            _context.Enter_NeedsLock(DrainPhase.Aborting);
        }

        _outgoing.Clear(); // Their turn to be asked does not come any more.
        return ([], before.IsAborting ? joined : [.. _left]);
    }

    private void End_NeedsLock()
    {
        IsOver_NeedsLock = true;
        _timer.Dispose();
        if (IsWhole)
        {
            _context.Enter_NeedsLock(DrainPhase.Drained);
        }

        var duration = Elapsed_NeedsLock;
        var isHurried = _context.IsAbortingAll_NeedsLock;
        _context.Reports.Add(() => ReportEnd(duration, isHurried));
    }

    private void Wake_NeedsLock()
    {
        if (IsOver_NeedsLock || (IsStarted_NeedsLock && _plan is null))
        {
            return;
        }

        // A timer rounds down, and would wake before anything is due.
        var now = Elapsed_NeedsLock;
        var next = HasDueOutgoing_NeedsLock ? now : _plan?.GetNext(now) ?? _startAfter;
        next = LooksForItself ? BatchPlan.Min(next, now + PresenceInterval) : next;
        var wait = Math.Ceiling((next - now).TotalMilliseconds);
        _timer.Change(TimeSpan.FromMilliseconds(Math.Max(1, wait)), Timeout.InfiniteTimeSpan);
    }
}
