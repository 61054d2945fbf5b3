using GracefulConnections.Draining;

namespace GracefulConnections.Tests.Draining;

/// <summary>What a batch does when, without a batch.</summary>
public class BatchPlanTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private static readonly BatchPlan Plan = new(10, Second, 2 * Second, 20 * Second, 5 * Second);

    [Theory]
    [InlineData(0, 0, 5, false)]
    [InlineData(1, 0, 5, false)]
    [InlineData(1.099, 0, 5, false)]
    [InlineData(1.1, 1, 5, false)] // In the middle of its share of 0.2 s.
    [InlineData(2, 5, 5, false)]
    [InlineData(3, 10, 5, false)]
    [InlineData(4.999, 10, 5, false)]
    [InlineData(5, 10, 10, false)] // A report is due when the next one's time has moved.
    [InlineData(19.999, 10, 20, false)]
    [InlineData(20, 0, 25, true)]
    [InlineData(1000, 0, 1005, true)]
    public void At_FirstLook_AsksWhoseTurnItIsAndTellsWhatIsDue(double seconds, int asked, double nextReport, bool isAborting)
    {
        var next = Plan.At(TimeSpan.FromSeconds(seconds));

        Assert.Equal((asked, TimeSpan.FromSeconds(nextReport), isAborting, false), (next.Asked, next.NextReport, next.IsAborting, next.IsOver));
    }

    [Fact]
    public void At_Aborting_GivesUpAfterTheGraceAndAsksNobody()
    {
        var aborting = Plan.At(20 * Second);

        var before = aborting.At(20.499 * Second);
        Assert.Equal((0, true, false), (before.Asked, before.IsAborting, before.IsOver));
        Assert.True(aborting.At(20.5 * Second).IsOver);
    }

    [Fact]
    public void At_LateLook_GivesHandlersTheWholeGrace() => Assert.False(Plan.At(25 * Second).At(25.499 * Second).IsOver);

    [Fact]
    public void At_Report_IsNotDueAgainBeforeTheInterval()
    {
        var next = Plan.At(7 * Second);

        Assert.Equal(10 * Second, next.At(9.999 * Second).NextReport);
        Assert.Equal(15 * Second, next.At(10 * Second).NextReport);
    }

    [Fact]
    public void At_NoWindow_AsksEveryone() => Assert.Equal(10, (Plan with { Window = TimeSpan.Zero }).At(Second).Asked);

    [Fact]
    public void At_NobodyHasATurn_AsksNobody() => Assert.Equal(0, (Plan with { Count = 0 }).At(2 * Second).Asked);

    [Fact]
    public void GetNext_Always_IsTheEarliestOfAllThatComes()
    {
        Assert.Equal(1.1 * Second, Plan.GetNext(Second));
        Assert.Equal(5 * Second, Plan.At(3 * Second).GetNext(3 * Second));
        Assert.Equal(20 * Second, Plan.At(17 * Second).GetNext(17 * Second));
        Assert.Equal(20.5 * Second, (Plan.At(20 * Second) with { NextReport = TimeSpan.MaxValue }).GetNext(20 * Second));
    }

    [Fact]
    public void GetNext_TurnsThatComeClose_LooksNotBeforeTenMilliseconds() =>
        Assert.Equal(1.01 * Second, (Plan with { Count = 100_000 }).GetNext(Second));

    [Fact]
    public void GetNext_NoReportsAndNoDeadlineInReach_DoesNotOverflow()
    {
        var plan = new BatchPlan(0, Second, default, TimeSpan.MaxValue, Timeout.InfiniteTimeSpan);

        Assert.Equal(TimeSpan.MaxValue, plan.GetNext(Second));
    }
}
