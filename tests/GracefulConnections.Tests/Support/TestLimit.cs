namespace GracefulConnections.Tests.Support;

/// <summary>The limit of every wait: far beyond what any of them needs, so that reaching it is a failure and not a slow machine.</summary>
internal static class TestLimit
{
    /// <summary>The limit itself.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromSeconds(60);

    public static Task WithinLimit(this Task task) => task.WaitAsync(Longest);

    public static Task<T> WithinLimit<T>(this Task<T> task) => task.WaitAsync(Longest);

    public static Task<T> WithinLimit<T>(this ValueTask<T> task) => task.AsTask().WaitAsync(Longest);

    /// <summary>Yields until <paramref name="condition"/> holds, where nothing tells.</summary>
    public static async Task UntilAsync(Func<bool> condition)
    {
        var started = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(started) < Longest, "The condition does not come to hold.");
            await Task.Yield();
        }
    }
}
