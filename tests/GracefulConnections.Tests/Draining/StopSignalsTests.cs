using System.Runtime.InteropServices;
using GracefulConnections.Draining;
using GracefulConnections.Tests.Support;
using Effect = GracefulConnections.Draining.StopSignals.Effect;

namespace GracefulConnections.Tests.Draining;

/// <summary>Which signal is a second request to stop. Times are milliseconds; -1 stands for never.</summary>
public class StopSignalsTests
{
    [Theory]
    [InlineData(-1, -1, PosixSignal.SIGTERM, 100, (int)Effect.PassOn, 100)] // The first one; the host begins its stop.
    [InlineData(50, -1, PosixSignal.SIGINT, 100, (int)Effect.PassOn, 100)] // Another program's business so far.
    [InlineData(100, 101, PosixSignal.SIGTERM, 150, (int)Effect.Ignore, 100)] // A supervisor's second.
    [InlineData(100, 101, PosixSignal.SIGINT, 600, (int)Effect.Ignore, 100)]
    [InlineData(100, 101, PosixSignal.SIGINT, 601, (int)Effect.Abort, 100)]
    [InlineData(100, 101, PosixSignal.SIGQUIT, 601, (int)Effect.Abort, 100)]
    [InlineData(100, 101, PosixSignal.SIGTERM, 601, (int)Effect.Ignore, 100)]
    [InlineData(100, 101, PosixSignal.SIGTERM, 60_000, (int)Effect.Ignore, 100)]
    [InlineData(-1, 50, PosixSignal.SIGINT, 60_000, (int)Effect.Ignore, 60_000)] // The stop began by code.
    [InlineData(60_000, 50, PosixSignal.SIGINT, 60_501, (int)Effect.Abort, 60_000)]
    [InlineData(100, 5_000, PosixSignal.SIGINT, 6_000, (int)Effect.Ignore, 6_000)] // The earlier one began no stop.
    public void On_EverySignal_HasItsEffect(int first, int began, PosixSignal signal, int now, int effect, int firstAfter)
    {
        var result = StopSignals.On(Time(first), isCause: false, Time(began), signal, TimeSpan.FromMilliseconds(now));

        Assert.Equal(((Effect)effect, TimeSpan.FromMilliseconds(firstAfter)), result);
    }

    // On a busy machine the host's own handler of the signal may come to its turn late.
    [Theory]
    [InlineData(PosixSignal.SIGINT, 5_400, (int)Effect.Abort)]
    [InlineData(PosixSignal.SIGTERM, 5_400, (int)Effect.Ignore)]
    public void On_TheFirstSignalsThreadBeganTheStopLate_ItIsTheFirstRequest(PosixSignal signal, int now, int effect)
    {
        var result = StopSignals.On(Time(100), isCause: true, Time(5_000), signal, TimeSpan.FromMilliseconds(now));

        Assert.Equal(((Effect)effect, TimeSpan.FromMilliseconds(100)), result);
    }

    [Fact]
    public void Dispose_TwoThreadsAtOnce_BothReturn()
    {
        var drain = new TestDrain();
        using var together = new Barrier(2);
        for (var i = 0; i < 1000; i++)
        {
            using var sut = new StopSignals(drain.Coordinator, drain.Coordinator.Context);
            sut.Listen();

            Parallel.Invoke(Dispose, Dispose);

            void Dispose()
            {
                together.SignalAndWait(TestLimit.Longest);
                sut.Dispose();
            }
        }
    }

    private static TimeSpan? Time(int milliseconds) => milliseconds < 0 ? null : TimeSpan.FromMilliseconds(milliseconds);
}
