namespace GracefulConnections.Testing;

/// <summary>How this kit waits: never for ever, and by looking where nobody tells.</summary>
internal static class Waiting
{
    /// <summary>The limit of every wait: far beyond what any needs, so that reaching it is a failure.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(5);

    public static Task WithinLimit(this Task task) => task.WaitAsync(Longest);

    public static Task<T> WithinLimit<T>(this Task<T> task) => task.WaitAsync(Longest);

    /// <summary>Looks until <paramref name="condition"/> holds.</summary>
    /// <exception cref="TimeoutException">It does not hold at the limit.</exception>
    public static async Task UntilAsync(Func<bool> condition, string what)
    {
        using var limit = new CancellationTokenSource(Longest);
        using var look = new PeriodicTimer(LookEvery);
        while (!condition())
        {
            try
            {
                await look.WaitForNextTickAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"Not true after {Longest}: {what}");
            }
        }
    }
}
