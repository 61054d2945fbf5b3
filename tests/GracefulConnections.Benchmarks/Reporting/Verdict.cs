namespace GracefulConnections.Benchmarks.Reporting;

/// <summary>How a figure stands to its budget.</summary>
internal enum Verdict
{
    NoBudget,
    MeetsAim,
    MeetsMust,
    MissesAim,
    FallsShort,
}
