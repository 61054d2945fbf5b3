namespace GracefulConnections.Draining;

/// <summary>
/// When a batch asks, reports, aborts and ends. All times count from the batch's beginning. The plan only decides, so
/// that every decision can be tested without connections or a clock.
/// </summary>
/// <param name="Schedule">When which connection's turn is, counted from <paramref name="AskFrom"/>.</param>
/// <param name="AskFrom">When the first one is asked.</param>
/// <param name="Deadline">When what is left is aborted.</param>
/// <param name="ReportInterval">How often the batch says how far it is.</param>
internal readonly record struct BatchPlan(
    SpreadSchedule Schedule, TimeSpan AskFrom, TimeSpan Deadline, TimeSpan ReportInterval)
{
    /// <summary>How long the handlers of aborted connections get to return.</summary>
    public static readonly TimeSpan HandlerGrace = TimeSpan.FromSeconds(0.5);

    /// <summary>
    /// The time after the deadline in which the process has to exit: the grace, and the rest of the host's stop, in
    /// which Kestrel waits for one second after an abort of its own.
    /// </summary>
    public static readonly TimeSpan ExitTime = TimeSpan.FromSeconds(2);

    /// <summary>What a batch does besides asking those whose turn it is.</summary>
    internal enum Due
    {
        None,

        /// <summary>Say how many are left.</summary>
        Report,

        /// <summary>The time is up: abort what is left.</summary>
        Abort,

        /// <summary>The handlers of the aborted connections had their time as well.</summary>
        GiveUp,
    }

    /// <summary>Gets how many were asked, in the order of the batch.</summary>
    public int Asked { get; init; }

    /// <summary>Gets when the next report is due.</summary>
    public TimeSpan NextReport { get; init; } = After(AskFrom, ReportInterval);

    /// <summary>Gets when the handlers of aborted connections are given up; the greatest time until then.</summary>
    public TimeSpan GraceEnd { get; init; } = TimeSpan.MaxValue;

    public bool IsAborting => GraceEnd != TimeSpan.MaxValue;

    /// <summary>Makes the plan of a batch that asks from <paramref name="askFrom"/> on.</summary>
    public static BatchPlan Create(
        int count, TimeSpan window, TimeSpan askFrom, TimeSpan deadline, TimeSpan reportInterval)
    {
        // What came before the first request took its time from the spread, which must not become a burst for it.
        var rest = deadline > askFrom ? deadline - askFrom : TimeSpan.Zero;
        var spread = askFrom > TimeSpan.Zero ? Min(window, rest / 2) : window;
        return new BatchPlan(new SpreadSchedule(count, spread), askFrom, deadline, reportInterval);
    }

    /// <summary>Decides what is due.</summary>
    /// <returns>The plan after it. Those between the old and the new <see cref="Asked"/> are to be asked.</returns>
    public (BatchPlan Next, Due Due) At(TimeSpan now)
    {
        if (now >= GraceEnd)
        {
            return (this, Due.GiveUp);
        }

        if (now >= Deadline && !IsAborting)
        {
            return (this with { GraceEnd = now + HandlerGrace }, Due.Abort);
        }

        var next = this with { Asked = IsAborting ? Asked : Schedule.GetDue(now - AskFrom) };
        return now < NextReport
            ? (next, Due.None)
            : (next with { NextReport = After(now, ReportInterval) }, Due.Report);
    }

    /// <summary>Returns when to look again.</summary>
    public TimeSpan GetNext(TimeSpan now)
    {
        var ask = Schedule.GetNext(now - AskFrom, Asked);
        var next = IsAborting ? GraceEnd : Min(Deadline, After(AskFrom, ask));
        return Min(next, NextReport);
    }

    private static TimeSpan After(TimeSpan start, TimeSpan time) =>
        time == Timeout.InfiniteTimeSpan || time > TimeSpan.MaxValue - start ? TimeSpan.MaxValue : start + time;

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;
}
