using System.Runtime.CompilerServices;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>Waits for what nobody announces, such as the kernel's tables and a state that only moves forward.</summary>
internal static class Eventually
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(5);

    /// <summary>Looks until <paramref name="condition"/> holds.</summary>
    /// <exception cref="TimeoutException">It does not hold at the limit of every wait.</exception>
    public static async Task IsTrueAsync(Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string? what = null)
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        using var look = new PeriodicTimer(LookEvery);
        while (!condition())
        {
            try
            {
                await look.WaitForNextTickAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"Not true after {TestServer.TestLimit}: {what}");
            }
        }
    }
}
