using GracefulConnections.Draining;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>A drain in the books of a model: who belongs to it, and when it must end and when it may not yet.</summary>
internal sealed class ModelDrain(TimeSpan abortAt)
{
    private bool _isChecked;

    public HashSet<DrainMember> Members { get; } = [];

    /// <summary>Gets or sets when it aborts what is left.</summary>
    public TimeSpan AbortAt { get; set; } = abortAt;

    public Task<DrainReport>? Report { get; set; }

    private TimeSpan GraceEnd => AbortAt + BatchPlan.HandlerGrace;

    /// <summary>Returns whether the drain has to be over.</summary>
    public bool IsOver(TimeSpan now) => Members.All(static member => member.HasEnded) || now >= GraceEnd;

    /// <summary>Checks that the drain ended neither early nor late, and reports every connection once.</summary>
    public async ValueTask CheckAsync(TimeSpan now)
    {
        if (Report is null || _isChecked)
        {
            return;
        }

        if (!IsOver(now))
        {
            BrokenInvariantException.ThrowIf(Report.IsCompleted, $"a drain ended early: {Members.Count(static member => !member.HasEnded)} were left");
            return;
        }

        await StressRun.UntilAsync(() => Report.IsCompleted, "a drain with nobody left has not ended");
        Check(await Report);
        _isChecked = true;
    }

    private void Check(DrainReport report)
    {
        var bits = Members.Sum(static member => member.Bit);
        BrokenInvariantException.ThrowIf(report.ConnectionCount != Members.Count, $"{Members.Count} connections belonged to the drain: {report}");
        BrokenInvariantException.ThrowIf(report.Outcomes.Values.Sum() != Members.Count, $"not every connection was counted once: {report}");
        BrokenInvariantException.ThrowIf(report.DiscardedBytes != bits, $"missed or counted twice: {report.DiscardedBytes:x} instead of {bits:x}");
        BrokenInvariantException.ThrowIf(report.Aborted.DistinctBy(static info => info.ConnectionId).Count() != report.Aborted.Count, "an abort was reported twice");
        BrokenInvariantException.ThrowIf(
            !report.Aborted.SequenceEqual(report.Aborted.OrderByDescending(static info => info.Age)), "the aborted ones are not in the order of their age");
        BrokenInvariantException.ThrowIf(
            !report.Aborted.All(info => Members.Any(member => member.Connection.Id == info.ConnectionId && member.Connection.Result?.Outcome == CloseOutcome.Aborted)), "an abort was reported that was none");

        // Abandoned at the very moment in question: by this drain, which counts it, or by another right before.
        var abandoned = Members.Count(member => member.EndedAt == GraceEnd);
        var unended = Members.Count(member => member.EndedAt > GraceEnd);
        BrokenInvariantException.ThrowIf(
            report.UnendedHandlerCount < unended || report.UnendedHandlerCount > unended + abandoned, $"{unended} handlers or a little more had not ended: {report}");
    }
}
