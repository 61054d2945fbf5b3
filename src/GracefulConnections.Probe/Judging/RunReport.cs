namespace GracefulConnections.Probe.Judging;

/// <summary>Everything that a run found.</summary>
/// <param name="Target">The server, as the user named it.</param>
/// <param name="Profile">The name of the profile.</param>
/// <param name="Tls">The version of TLS; <see langword="null"/> without TLS.</param>
/// <param name="StartedAt">When the run began.</param>
/// <param name="Ms">How long it took.</param>
/// <param name="Scenarios">The results, in the order of their sections.</param>
internal sealed record RunReport(
    string Target, string Profile, string? Tls, DateTimeOffset StartedAt, double Ms,
    IReadOnlyList<ScenarioResult> Scenarios)
{
    public Grade? Grade => GradeRule.Apply(Scenarios);
}
