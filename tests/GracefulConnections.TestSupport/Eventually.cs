using System.Runtime.CompilerServices;

namespace GracefulConnections.TestSupport;

/// <summary>Waits for what nobody announces, such as the kernel's tables and a state that only moves forward.</summary>
public static class Eventually
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(5);

    /// <summary>Looks until <paramref name="condition"/> holds.</summary>
    /// <exception cref="TimeoutException">It does not hold at the limit of every wait.</exception>
    /// <param name="condition">What has to hold.</param>
    /// <param name="what">How a failure names it; by default its source text.</param>
    public static async Task IsTrueAsync(
        Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string? what = null)
    {
        using var limit = new CancellationTokenSource(WaitLimit.Longest);
        using var look = new PeriodicTimer(LookEvery);
        while (!condition())
        {
            try
            {
                await look.WaitForNextTickAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"Not true after {WaitLimit.Longest}: {what}");
            }
        }
    }
}
