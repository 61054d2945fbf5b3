using GracefulConnections.Closing;

namespace GracefulConnections.Tests.Closing;

public class LossLimiterTests
{
    private static readonly TimeSpan Start = TimeSpan.FromSeconds(5);

    [Fact]
    public void TryPass_ManyWithinASecond_LetsOneThroughAndCountsTheOthers()
    {
        var sut = new LossLimiter();

        Assert.True(sut.TryPass(Start, out var leftOut));
        Assert.Equal(0, leftOut);
        for (var i = 0; i < 7; i++)
        {
            Assert.False(sut.TryPass(Start + LossLimiter.Interval - TimeSpan.FromTicks(1), out _));
        }

        Assert.True(sut.TryPass(Start + LossLimiter.Interval, out leftOut));
        Assert.Equal(7, leftOut);
        Assert.True(sut.TryPass(Start + (5 * LossLimiter.Interval), out leftOut));
        Assert.Equal(0, leftOut);
    }
}
