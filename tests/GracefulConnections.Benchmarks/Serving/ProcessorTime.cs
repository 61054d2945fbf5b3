using System.Globalization;

namespace GracefulConnections.Benchmarks.Serving;

/// <summary>The processor time of a process that cannot be asked, by proc(5).</summary>
internal static class ProcessorTime
{
    private const int TicksPerSecond = 100; // USER_HZ, which is 100 whatever the kernel's own clock is.

    // Behind the name, which is in parentheses and may contain anything: ppid(4), utime(14), stime(15), cutime(16) and cstime(17).
    private const int FieldsBefore = 3;
    private const int ParentField = 4;
    private const int FirstTimeField = 14;
    private const int TimeFieldCount = 4;

    /// <summary>Returns what the process and all its descendants have used, those included that have ended.</summary>
    public static TimeSpan OfTree(int processId)
    {
        var processes = ReadAll();
        return TimeSpan.FromSeconds(SumTicks(processId) / (double)TicksPerSecond);

        long SumTicks(int id) => processes.Where(process => process.Id == id).Sum(process => process.Ticks)
            + processes.Where(process => process.Parent == id).Sum(process => SumTicks(process.Id));
    }

    /// <summary>Returns the process and all its descendants.</summary>
    public static IReadOnlyList<int> ReadTree(int processId)
    {
        var processes = ReadAll();
        return [.. Walk(processId)];

        IEnumerable<int> Walk(int id) => processes.Where(process => process.Parent == id).SelectMany(process => Walk(process.Id)).Prepend(id);
    }

    private static List<(int Id, int Parent, long Ticks)> ReadAll()
    {
        var processes = new List<(int, int, long)>();
        foreach (var directory in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(directory), NumberStyles.None, CultureInfo.InvariantCulture, out var id) && TryRead(id) is { } stat)
            {
                var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
                var ticks = Enumerable.Range(FirstTimeField, TimeFieldCount).Sum(field => long.Parse(fields[field - FieldsBefore], CultureInfo.InvariantCulture));
                processes.Add((id, int.Parse(fields[ParentField - FieldsBefore], CultureInfo.InvariantCulture), ticks));
            }
        }

        return processes;
    }

    private static string? TryRead(int processId)
    {
        try
        {
            return File.ReadAllText($"/proc/{processId}/stat");
        }
        catch (IOException)
        {
            return null; // Ended since it was listed.
        }
    }
}
