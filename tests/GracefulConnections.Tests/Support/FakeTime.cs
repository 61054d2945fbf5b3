using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Support;

/// <summary>Moves a fake clock on, in small steps, until something has happened that needs more than one look at it.</summary>
internal static class FakeTime
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(10); // The shortest time between two looks.
    private static readonly TimeSpan Pace = Step / 2; // Or the clock would run away from what the thread pool has to do.
    private static readonly TimeSpan LongestPoll = TimeSpan.FromMilliseconds(250);

    public static async Task UntilAsync(this FakeTimeProvider time, Func<bool> condition)
    {
        var started = TimeProvider.System.GetTimestamp();
        using var pace = new PeriodicTimer(Pace);
        while (!condition())
        {
            Assert.True(
                TimeProvider.System.GetElapsedTime(started) < TestLimit.Longest, "The condition does not come to hold.");
            time.Advance(Step);
            await pace.WaitForNextTickAsync();
        }
    }

    public static async Task<T> UntilAsync<T>(this FakeTimeProvider time, Task<T> task)
    {
        await time.UntilAsync(() => task.IsCompleted);
        return await task;
    }

    public static async Task UntilAsync(this FakeTimeProvider time, Task task)
    {
        await time.UntilAsync(() => task.IsCompleted);
        await task;
    }

    /// <summary>Moves the clock in steps, as the looks come. One step would be a jump, as of a process that did not run.</summary>
    public static void AdvanceInSteps(this FakeTimeProvider time, TimeSpan by)
    {
        for (; by > TimeSpan.Zero; by -= LongestPoll)
        {
            time.Advance(by < LongestPoll ? by : LongestPoll);
        }
    }
}
