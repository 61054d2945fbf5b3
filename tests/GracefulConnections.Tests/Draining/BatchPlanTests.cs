using GracefulConnections.Draining;
using Due = GracefulConnections.Draining.BatchPlan.Due;

namespace GracefulConnections.Tests.Draining;

/// <summary>What a batch does when, without a batch.</summary>
public class BatchPlanTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private static readonly BatchPlan Plan = new(new SpreadSchedule(10, 2 * Second), Second, 20 * Second, 5 * Second);

    [Theory]
    [InlineData(0, 0, (int)Due.None)]
    [InlineData(1, 0, (int)Due.None)]
    [InlineData(2, 5, (int)Due.None)]
    [InlineData(3, 10, (int)Due.None)]
    [InlineData(5.999, 10, (int)Due.None)]
    [InlineData(6, 10, (int)Due.Report)]
    [InlineData(19.999, 10, (int)Due.Report)]
    [InlineData(20, 0, (int)Due.Abort)]
    [InlineData(1000, 0, (int)Due.Abort)]
    public void At_FirstLook_AsksWhoseTurnItIsAndTellsWhatIsDue(double seconds, int asked, int due)
    {
        var (next, found) = Plan.At(TimeSpan.FromSeconds(seconds));

        Assert.Equal((asked, (Due)due), (next.Asked, found));
    }

    [Fact]
    public void At_Aborting_GivesUpAfterTheGraceAndAsksNobody()
    {
        var (aborting, _) = Plan.At(20 * Second);

        Assert.True(aborting.IsAborting);
        Assert.Equal((0, Due.Report), (aborting.At(20.499 * Second).Next.Asked, aborting.At(20.499 * Second).Due));
        Assert.Equal(Due.GiveUp, aborting.At(20.5 * Second).Due);
    }

    [Fact]
    public void At_Report_IsNotDueAgainBeforeTheInterval()
    {
        var (next, _) = Plan.At(7 * Second);

        Assert.Equal(Due.None, next.At(11.999 * Second).Due);
        Assert.Equal(Due.Report, next.At(12 * Second).Due);
    }

    [Fact]
    public void GetNext_Always_IsTheEarliestOfAllThatComes()
    {
        Assert.Equal(1.1 * Second, Plan.GetNext(Second));
        Assert.Equal(6 * Second, Plan.At(3 * Second).Next.GetNext(3 * Second));
        Assert.Equal(20 * Second, Plan.At(17 * Second).Next.GetNext(17 * Second));
        Assert.Equal(20.5 * Second, (Plan.At(20 * Second).Next with { NextReport = TimeSpan.MaxValue }).GetNext(20 * Second));
    }

    [Fact]
    public void GetNext_NoReportsAndNoDeadlineInReach_DoesNotOverflow()
    {
        var plan = new BatchPlan(new SpreadSchedule(0, default), Second, TimeSpan.MaxValue, Timeout.InfiniteTimeSpan);

        Assert.Equal(TimeSpan.MaxValue, plan.GetNext(Second));
    }
}
