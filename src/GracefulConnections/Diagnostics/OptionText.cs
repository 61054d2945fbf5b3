using System.Globalization;

namespace GracefulConnections.Diagnostics;

/// <summary>Spells an option's value as the person wrote it who set it.</summary>
internal static class OptionText
{
    // Timeout.InfiniteTimeSpan is -1 ms, which nobody wrote.
    public static string Spell(TimeSpan? value) => value switch
    {
        null => "null",
        { } time when time == Timeout.InfiniteTimeSpan => "no limit (Timeout.InfiniteTimeSpan)",
        { } time => time.ToString("c", CultureInfo.InvariantCulture),
    };
}
