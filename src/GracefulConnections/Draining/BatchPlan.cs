namespace GracefulConnections.Draining;

/// <summary>
/// When a batch asks, reports, aborts and ends. All times count from the batch's beginning. The plan only decides, so
/// that every decision can be tested without connections or a clock.
/// </summary>
/// <param name="Count">How many connections are asked by turns.</param>
/// <param name="AskFrom">When the first turn begins.</param>
/// <param name="Window">How long the turns take together.</param>
/// <param name="Deadline">When what is left is aborted.</param>
/// <param name="ReportInterval">How often the batch says how far it is.</param>
internal readonly record struct BatchPlan(
    int Count, TimeSpan AskFrom, TimeSpan Window, TimeSpan Deadline, TimeSpan ReportInterval)
{
    /// <summary>How long the handlers of aborted connections get to return.</summary>
    public static readonly TimeSpan HandlerGrace = TimeSpan.FromSeconds(0.5);

    /// <summary>
    /// The time after the deadline in which the process has to exit: the grace, and the rest of the host's stop, in
    /// which Kestrel waits for one second after an abort of its own.
    /// </summary>
    public static readonly TimeSpan ExitTime = TimeSpan.FromSeconds(2);

    // The system's timer ticks no finer, and a wake-up for each of thousands would be most of the work.
    private static readonly TimeSpan ShortestStep = TimeSpan.FromMilliseconds(10);

    /// <summary>Gets how many had their turn.</summary>
    public int Asked { get; init; }

    /// <summary>Gets when the next report is due.</summary>
    public TimeSpan NextReport { get; init; } = GetReport(AskFrom, ReportInterval);

    /// <summary>Gets when the handlers of aborted connections are given up; the greatest time until then.</summary>
    public TimeSpan GraceEnd { get; init; } = TimeSpan.MaxValue;

    /// <summary>Gets whether those handlers have been given up.</summary>
    public bool IsOver { get; init; }

    public bool IsAborting => GraceEnd != TimeSpan.MaxValue;

    /// <summary>Returns the plan at a time. What is due is what differs from the plan before.</summary>
    public BatchPlan At(TimeSpan now)
    {
        if (now >= GraceEnd)
        {
            return this with { IsOver = true };
        }

        var isUp = now >= Deadline;
        return this with
        {
            Asked = isUp || IsAborting ? Asked : CountTurns(now - AskFrom),
            GraceEnd = isUp && !IsAborting ? now + HandlerGrace : GraceEnd,
            NextReport = now < NextReport ? NextReport : GetReport(now, ReportInterval),
        };
    }

    /// <summary>Returns when to look again.</summary>
    public TimeSpan GetNext(TimeSpan now)
    {
        var turn = Asked >= Count ? TimeSpan.MaxValue : AskFrom + (Window * ((Asked + 0.5) / Count));
        var next = IsAborting ? GraceEnd : Min(Deadline, Max(turn, now + ShortestStep));
        return Min(next, NextReport);
    }

    public static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    // An even rate, each in the middle of its own share, so that none come in a burst at either end.
    private int CountTurns(TimeSpan elapsed) =>
        elapsed >= Window ? Count : (int)Math.Clamp(Math.Floor((elapsed / Window * Count) + 0.5), 0, Count);

    // Whole intervals from the beginning on, so that a look that comes late does not move those that follow.
    private static TimeSpan GetReport(TimeSpan now, TimeSpan interval) =>
        interval == Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : interval * (Math.Floor(now / interval) + 1);

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;
}
