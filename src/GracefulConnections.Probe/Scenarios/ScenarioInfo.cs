namespace GracefulConnections.Probe.Scenarios;

/// <summary>What a scenario is, for lists, reports and <c>--explain</c>.</summary>
/// <param name="Section">Its number, such as 2.1.</param>
/// <param name="Name">Its name on the command line and in reports: for life.</param>
/// <param name="Does">What the probe does.</param>
/// <param name="Expected">What a correct server does.</param>
/// <param name="Reference">Where that is written.</param>
/// <param name="Why">What goes wrong for somebody otherwise.</param>
internal sealed record ScenarioInfo(
    string Section, string Name, string Does, string Expected, string Reference, string Why);
