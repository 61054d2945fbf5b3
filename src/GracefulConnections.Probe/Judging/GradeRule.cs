namespace GracefulConnections.Probe.Judging;

/// <summary>The published rule that makes one grade of many verdicts: the worst fault decides.</summary>
internal static class GradeRule
{
    /// <summary>Returns the grade.</summary>
    /// <returns><see langword="null"/> when nothing was judged at all.</returns>
    public static Grade? Apply(IReadOnlyCollection<ScenarioResult> results)
    {
        if (results.All(result => result.Verdict is Verdict.Skipped or Verdict.Error))
        {
            return null;
        }

        var worst = results.Where(result => result.Verdict == Verdict.Fail).Select(result => ToGrade(result.Fault));
        var best = results.All(result => result.Verdict == Verdict.Pass) ? Grade.APlus : Grade.A;
        return worst.Append(best).Max();
    }

    public static Grade ToGrade(Fault fault) => fault switch
    {
        Fault.LateRelease => Grade.B,
        Fault.UncleanEnd => Grade.C,
        Fault.LostBehindReset => Grade.D,
        Fault.LostBehindEnd or Fault.ExecutedHalf or Fault.Died => Grade.F,
        _ => throw new ArgumentOutOfRangeException(nameof(fault), fault, "A failed scenario names its fault."),
    };

    public static string ToText(Grade? grade) => grade switch
    {
        null => "none",
        Grade.APlus => "A+",
        var letter => letter.Value.ToString(),
    };
}
