using GracefulConnections.Draining;

namespace GracefulConnections.Tests.Draining;

public class SpreadScheduleTests
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(10);

    [Fact]
    public void GetDue_WindowZero_IsEveryoneAtOnce() => Assert.Equal(1000, new SpreadSchedule(1000, TimeSpan.Zero).GetDue(TimeSpan.Zero));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(1000)]
    [InlineData(20_000)]
    public void GetDue_AnyCount_RisesEvenlyFromNobodyToEveryone(int count)
    {
        var window = TimeSpan.FromSeconds(2);
        var schedule = new SpreadSchedule(count, window);
        var last = 0;
        for (var elapsed = TimeSpan.Zero; elapsed <= window; elapsed += TimeSpan.FromMilliseconds(1))
        {
            var due = schedule.GetDue(elapsed);
            Assert.InRange(due, last, count);
            Assert.InRange(due - (count * (elapsed / window)), -0.5001, 0.5001); // Nobody is further from an even rate than half a share.
            last = due;
        }

        Assert.Equal(0, schedule.GetDue(TimeSpan.Zero));
        Assert.Equal(count, schedule.GetDue(window));
        Assert.Equal(count, schedule.GetDue(TimeSpan.MaxValue));
    }

    [Fact]
    public void GetNext_FewConnections_IsTheMiddleOfTheNextShare()
    {
        var schedule = new SpreadSchedule(3, TimeSpan.FromSeconds(30));

        Assert.Equal(TimeSpan.FromSeconds(5), schedule.GetNext(TimeSpan.Zero, 0));
        Assert.Equal(TimeSpan.FromSeconds(15), schedule.GetNext(TimeSpan.FromSeconds(5), 1));
        Assert.Equal(TimeSpan.FromSeconds(25), schedule.GetNext(TimeSpan.FromSeconds(15), 2));
        Assert.Equal(TimeSpan.MaxValue, schedule.GetNext(TimeSpan.FromSeconds(25), 3));
    }

    [Fact]
    public void GetNext_ManyConnections_IsNoSoonerThanOneStep()
    {
        var schedule = new SpreadSchedule(20_000, TimeSpan.FromSeconds(2));

        Assert.Equal(TimeSpan.FromSeconds(1) + Step, schedule.GetNext(TimeSpan.FromSeconds(1), 10_000));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void GetNext_NobodyLeft_IsNever(int count) => Assert.Equal(TimeSpan.MaxValue, new SpreadSchedule(count, TimeSpan.Zero).GetNext(TimeSpan.Zero, count));
}
