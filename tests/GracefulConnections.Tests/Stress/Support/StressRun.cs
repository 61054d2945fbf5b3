using System.Globalization;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>How many sequences a run makes, and how long it waits before it calls something a hang.</summary>
internal static class StressRun
{
    /// <summary>The variable that multiplies the number of sequences, for soak runs.</summary>
    public const string FactorVariable = "GRACEFUL_STRESS_FACTOR";

    /// <summary>The variable that sets the number of sequences under real threads.</summary>
    public const string SequencesVariable = "GRACEFUL_SEQUENCES";

    /// <summary>Far beyond what any wait needs, so that reaching it is a hang and not a slow machine.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    public static long Count(long normal) =>
        double.TryParse(Environment.GetEnvironmentVariable(FactorVariable), CultureInfo.InvariantCulture, out var factor) ? (long)(normal * factor) : normal;

    /// <summary>Returns how many sequences under real threads to make.</summary>
    public static long Sequences(long normal) =>
        long.TryParse(Environment.GetEnvironmentVariable(SequencesVariable), CultureInfo.InvariantCulture, out var count)
            ? count
            : normal;

    /// <summary>Awaits <paramref name="task"/>, which must not hang.</summary>
    public static Task InTimeAsync(this Task task) => task.WaitAsync(Limit);

    /// <inheritdoc cref="InTimeAsync(Task)"/>
    public static Task<T> InTimeAsync<T>(this Task<T> task) => task.WaitAsync(Limit);

    /// <summary>Yields until <paramref name="condition"/> holds.</summary>
    public static async ValueTask UntilAsync(Func<bool> condition, string what)
    {
        var started = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            if (TimeProvider.System.GetElapsedTime(started) > Limit)
            {
                throw new BrokenInvariantException($"Hang: {what}.");
            }

            await Task.Yield();
        }
    }
}
