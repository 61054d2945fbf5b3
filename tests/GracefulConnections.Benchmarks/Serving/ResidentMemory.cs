using System.Globalization;

namespace GracefulConnections.Benchmarks.Serving;

/// <summary>The resident memory of a process and its descendants, by proc(5)./summary>
internal static class ResidentMemory
{
    private const string Field = "Pss:"; // Of pages that several processes share, each has its part.

    public static double OfTree(int processId) => ProcessorTime.ReadTree(processId).Sum(Read);

    private static double Read(int processId)
    {
        var line = File.ReadLines($"/proc/{processId}/smaps_rollup").First(static line => line.StartsWith(Field, StringComparison.Ordinal));
        var kibibytes = line[Field.Length..].Trim().Split(' ')[0];
        return 1024 * double.Parse(kibibytes, CultureInfo.InvariantCulture);
    }
}
