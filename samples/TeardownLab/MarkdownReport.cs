namespace TeardownLab;

/// <summary>The report for a README.</summary>
internal static class MarkdownReport
{
    public static void Print(IReadOnlyList<Run> runs)
    {
        PrintRow(ReportColumn.All.Select(column => column.Name));
        PrintRow(ReportColumn.All.Select(column => column.IsNumber ? "---:" : "---"));
        foreach (var run in runs)
        {
            PrintRow(ReportColumn.All.Select(column => Escape(column.Format(run))));
        }

        Console.WriteLine();
        Console.WriteLine(Escape(Summary.Footnote));
        Console.WriteLine();
        Console.WriteLine(Summary.Of(runs));
    }

    private static void PrintRow(IEnumerable<string> cells) => Console.WriteLine($"| {string.Join(" | ", cells)} |");

    private static string Escape(string text) => text.Replace("*", @"\*", StringComparison.Ordinal);
}
