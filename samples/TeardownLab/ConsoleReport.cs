using Spectre.Console;

namespace TeardownLab;

/// <summary>The report for a terminal of 80 columns or more.</summary>
internal static class ConsoleReport
{
    private const int RedirectedWidth = 200;

    public static void Print(IReadOnlyList<Run> runs)
    {
        if (Console.IsOutputRedirected)
        {
            AnsiConsole.Profile.Width = RedirectedWidth;
        }

        var table = new Table().Border(TableBorder.Horizontal);
        foreach (var column in ReportColumn.All)
        {
            table.AddColumn(new TableColumn(column.Name.Replace(' ', '\n'))
            {
                Alignment = column.IsNumber ? Justify.Right : Justify.Left,
                NoWrap = column != ReportColumn.Scenario,
                Padding = new Padding(0, 1),
            });
        }

        foreach (var scenario in runs.GroupBy(run => run.Scenario))
        {
            table.AddRow([.. ReportColumn.All.Select(column => Cell(column, scenario))]);
        }

        AnsiConsole.Write(table);
        AnsiConsole.WriteLine(Summary.Footnote);
        AnsiConsole.WriteLine();
        AnsiConsole.WriteLine(Summary.Of(runs));
    }

    // One row a scenario, and in it one line a server: so a long name may wrap beside them.
    private static string Cell(ReportColumn column, IEnumerable<Run> scenario) => column == ReportColumn.Scenario
        ? Markup.Escape(column.Format(scenario.First()))
        : string.Join('\n', scenario.Select(run => $"[{(run.HasUnintendedLoss ? "red" : "default")}]{Markup.Escape(column.Format(run))}[/]"));
}
