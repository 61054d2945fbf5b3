namespace GracefulConnections.Probe.Judging;

/// <summary>What one scenario found, before anybody puts its name to it.</summary>
/// <param name="Verdict">The verdict.</param>
/// <param name="Seen">What the server did, in a few words.</param>
/// <param name="Fault">What was wrong, if it failed.</param>
/// <param name="LostBytes">How many bytes of replies are missing.</param>
/// <param name="Reason">Why the scenario was skipped, or cannot be sure; or a remark on a pass or a failure.</param>
internal sealed record Finding(
    Verdict Verdict, string Seen, Fault Fault = Fault.None, long LostBytes = 0, string? Reason = null)
{
    public static Finding Pass(string seen, string? reason = null) => new(Verdict.Pass, seen, Reason: reason);

    public static Finding Fail(Fault fault, string seen, string? reason = null, long lostBytes = 0) =>
        new(Verdict.Fail, seen, fault, lostBytes, reason);

    public static Finding Skip(string reason) => new(Verdict.Skipped, "nothing was sent", Reason: reason);

    public static Finding Unsure(string seen, string reason) => new(Verdict.Error, seen, Reason: reason);

    /// <summary>
    /// Returns the finding that weighs more: the worse fault, then what is not sure, then what was skipped.
    /// </summary>
    public static Finding Worst(IEnumerable<Finding> findings) =>
        findings.OrderByDescending(finding => finding.Fault).ThenByDescending(finding => finding.Verdict).First();
}
