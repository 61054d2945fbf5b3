using GracefulConnections.Transport;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Transport;

public class CoarseTimeTests
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(20);

    [Fact]
    public void Of_AnyOtherClock_IsThatClock()
    {
        var time = new FakeTimeProvider();

        Assert.Same(time, CoarseTime.Of(time));
    }

    [Fact]
    public void Of_TheSystemsClock_GoesAsFast()
    {
        var sut = CoarseTime.Of(TimeProvider.System);
        var before = TimeProvider.System.GetTimestamp();
        var start = sut.GetTimestamp();
        var behind = TimeProvider.System.GetTimestamp();

        Assert.True(SpinWait.SpinUntil(() => sut.GetElapsedTime(start) >= Tick + Tick, TimeSpan.FromSeconds(10)));

        var least = TimeProvider.System.GetElapsedTime(behind);
        var elapsed = sut.GetElapsedTime(start);
        Assert.NotSame(TimeProvider.System, sut);
        Assert.InRange(elapsed, least - Tick, TimeProvider.System.GetElapsedTime(before) + Tick);
    }
}
