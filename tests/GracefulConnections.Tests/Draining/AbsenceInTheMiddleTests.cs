using GracefulConnections.Diagnostics;
using GracefulConnections.Draining;
using GracefulConnections.Tests.Stress;
using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Draining;

/// <summary>
/// The process stops running in the middle of a look at what is due, for longer than the drain has time. No timer runs
/// before the thread that was stopped there goes on.
/// </summary>
[Collection(DelayedThreads.Name)]
public sealed class AbsenceInTheMiddleTests
{
    [Fact]
    public void Drain_TimeIsUpDuringAnAbsenceInTheMiddleOfALook_GivesTheHandlersAMoment()
    {
        var points = 0;
        while (IsThere(points))
        {
            points++;
        }

        Assert.True(points > 0, "The code has no points in its middle any more.");
    }

    private static bool IsThere(int point)
    {
        var sut = new TestDrain(time: new ClockWithoutTimers());
        var stuck = sut.Accept();
        _ = sut.StopHost();
        sut.Coordinator.Context.OnPresent();

        var left = point;
        var thread = Environment.CurrentManagedThreadId;
        Interleaving.Set(() =>
        {
            if (Environment.CurrentManagedThreadId == thread && left-- == 0)
            {
                sut.Advance(2 * sut.Options.DrainTimeout);
            }
        });
        try
        {
            sut.Coordinator.Registry.Drive();
        }
        finally
        {
            Interleaving.Set(null);
        }

        if (left >= 0)
        {
            return false; // The point is behind the end.
        }

        Assert.False(stuck.IsAborted, $"No moment was given at point {point}.");
        sut.Coordinator.Registry.Drive();
        Assert.False(stuck.IsAborted, $"No moment was given behind point {point}.");
        sut.Advance(2 * sut.Options.DrainTimeout);
        sut.Coordinator.Registry.Drive();
        Assert.True(stuck.IsAborted); // The moment is given once.
        return true;
    }

    private sealed class ClockWithoutTimers : FakeTimeProvider
    {
        public override ITimer CreateTimer(
            TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => new NoTimer();
    }

    private sealed class NoTimer : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period) => true;

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
