using System.Globalization;

namespace GracefulConnections.Diagnostics;

/// <summary>Spells an option's value as the person wrote it who set it, and says what is wrong with it.</summary>
internal static class OptionText
{
    // Timeout.InfiniteTimeSpan is -1 ms, which nobody wrote.
    public static string Spell(TimeSpan? value) => value switch
    {
        null => "null",
        { } time when time == Timeout.InfiniteTimeSpan => "no limit (Timeout.InfiniteTimeSpan)",
        { } time => time.ToString("c", CultureInfo.InvariantCulture),
    };

    /// <summary>Says what is wrong with a time.</summary>
    /// <param name="isValid">Whether the time keeps the rule.</param>
    /// <param name="rule">The rule of its own, besides that for all times: shorter than one day.</param>
    /// <param name="value">The time.</param>
    /// <returns><see langword="null"/> if nothing is wrong.</returns>
    public static string? FindFault(bool isValid, string rule, TimeSpan? value) =>
        value >= TimeSpan.FromDays(1)
            ? $"must be shorter than one day, but was {Spell(value)}.{Hint(value.Value.Ticks)}"
            : isValid ? null : $"{rule}, but was {Spell(value)}.";

    // In configuration, 10 is ten days to .NET. Whoever wrote it meant seconds.
    private static string Hint(long ticks)
    {
        var (days, rest) = Math.DivRem(ticks, TimeSpan.TicksPerDay);
        return rest == 0 && days < TimeSpan.SecondsPerDay
            ? $" A number alone counts days: for {days} seconds write \"{Spell(TimeSpan.FromSeconds(days))}\"."
            : string.Empty;
    }
}
