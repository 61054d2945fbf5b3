using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Commands;

/// <summary>What makes the exit code 1.</summary>
/// <param name="Verdict">A verdict that does; worse ones do as well.</param>
/// <param name="Grade">A grade that does, and every worse one; <see langword="null"/> if verdicts count.</param>
internal sealed record FailOn(Verdict Verdict, Grade? Grade)
{
    /// <summary>Reads the option's value.</summary>
    /// <returns><see langword="null"/> if it is none.</returns>
    public static FailOn? TryParse(string text) => text.ToUpperInvariant() switch
    {
        "FAIL" => new FailOn(Verdict.Fail, null),
        "ERROR" => new FailOn(Verdict.Error, null),
        "SKIPPED" => new FailOn(Verdict.Skipped, null),
        "B" => new FailOn(Verdict.Fail, Judging.Grade.B),
        "C" => new FailOn(Verdict.Fail, Judging.Grade.C),
        "D" => new FailOn(Verdict.Fail, Judging.Grade.D),
        "F" => new FailOn(Verdict.Fail, Judging.Grade.F),
        _ => null,
    };

    public bool IsMet(RunReport report)
    {
        if (Grade is { } worst)
        {
            return report.Grade >= worst;
        }

        return report.Scenarios.Any(scenario => scenario.Verdict == Verdict.Fail ||
            (Verdict is Verdict.Error or Verdict.Skipped && scenario.Verdict == Verdict.Error) ||
            (Verdict == Verdict.Skipped && scenario.Verdict == Verdict.Skipped));
    }
}
