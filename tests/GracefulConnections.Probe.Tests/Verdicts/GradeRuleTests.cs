using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Tests.Support;

namespace GracefulConnections.Probe.Tests.Verdicts;

public sealed class GradeRuleTests
{
    [Theory]
    [InlineData("A+", "Pass None")]
    [InlineData("A", "Pass None", "Skipped None")]
    [InlineData("A", "Pass None", "Error None")]
    [InlineData("B", "Pass None", "Fail LateRelease")]
    [InlineData("C", "Fail LateRelease", "Fail UncleanEnd")]
    [InlineData("D", "Fail UncleanEnd", "Fail LostBehindReset", "Skipped None")]
    [InlineData("F", "Fail LostBehindReset", "Fail LostBehindEnd")]
    [InlineData("F", "Pass None", "Fail ExecutedHalf")]
    [InlineData("F", "Pass None", "Fail Died")]
    [InlineData("none", "Skipped None", "Error None")]
    [InlineData("none")]
    public void Apply_Verdicts_TheWorstFaultDecides(string grade, params string[] verdicts) =>
        Assert.Equal(grade, GradeRule.ToText(GradeRule.Apply([.. verdicts.Select(SampleReport.CreateScenario)])));

    [Fact]
    public void ToGrade_EveryFault_HasAGrade() => Assert.All(
        Enum.GetValues<Fault>().Where(fault => fault != Fault.None),
        fault => Assert.InRange(GradeRule.ToGrade(fault), Grade.B, Grade.F));
}
