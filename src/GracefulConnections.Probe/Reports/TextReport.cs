using System.Globalization;
using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Scenarios;
using Spectre.Console;

namespace GracefulConnections.Probe.Reports;

/// <summary>The report for people at a terminal: numbered sections, expected beside seen, one grade.</summary>
internal static class TextReport
{
    private const int FileWidth = 200; // Nobody's window: a line of a file is not to be cut.

    public static void Write(RunReport report, TextWriter output)
    {
        var isTerminal = output == Console.Out && !Console.IsOutputRedirected;
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(output),
            Ansi = isTerminal ? AnsiSupport.Detect : AnsiSupport.No,
            Interactive = InteractionSupport.No,
        });
        if (!isTerminal)
        {
            console.Profile.Width = FileWidth;
        }

        var tls = report.Tls is null ? "" : $", {report.Tls}";
        console.WriteLine($"{report.Target} ({report.Profile}{tls})");
        foreach (var section in report.Scenarios.GroupBy(scenario => scenario.Section[0]))
        {
            console.WriteLine();
            console.MarkupLineInterpolated($"[bold]{section.Key}. {Catalog.Sections[section.Key]}[/]");
            foreach (var scenario in section)
            {
                Write(console, scenario);
            }
        }

        console.WriteLine();
        WriteSum(console, report);
    }

    private static void Write(IAnsiConsole console, ScenarioResult scenario)
    {
        var (color, word) = scenario.Verdict switch
        {
            Verdict.Pass => ("green", "pass"),
            Verdict.Fail => ("red", "FAIL"),
            Verdict.Skipped => ("grey", "skip"),
            _ => ("yellow", "ERROR"),
        };
        var ms = scenario.Ms.ToString("N0", CultureInfo.InvariantCulture);
        console.MarkupLine($"  [{color}]{word,-5}[/] {scenario.Section} {scenario.Name} [grey]({ms} ms)[/]");
        WriteFact(console, "expected", scenario.Expected);
        WriteFact(console, "seen", scenario.Seen);
        if (scenario.LostBytes > 0)
        {
            WriteFact(console, "lost", $"{scenario.LostBytes.ToString("N0", CultureInfo.InvariantCulture)} bytes");
        }

        if (scenario.Reason is { } reason)
        {
            WriteFact(console, "because", reason);
        }

        if (scenario.Verdict == Verdict.Fail)
        {
            WriteFact(console, "see", $"{scenario.Reference}; graceful-probe --explain {scenario.Name}");
        }
    }

    private static void WriteFact(IAnsiConsole console, string name, string text)
    {
        var row = new Grid().AddColumn(new GridColumn { Width = 18, NoWrap = true, Padding = new Padding(8, 0, 1, 0) })
            .AddColumn(new GridColumn { Padding = new Padding(0, 0, 0, 0) });
        console.Write(row.AddRow(new Text(name, new Style(Color.Grey)), new Text(text)));
    }

    private static void WriteSum(IAnsiConsole console, RunReport report)
    {
        int Count(Verdict verdict) => report.Scenarios.Count(scenario => scenario.Verdict == verdict);
        var seconds = (report.Ms / 1000).ToString("0.0", CultureInfo.InvariantCulture);
        console.WriteLine(
            $"{Count(Verdict.Pass)} passed, {Count(Verdict.Fail)} failed, {Count(Verdict.Skipped)} skipped, " +
            $"{Count(Verdict.Error)} not sure, in {seconds} s");
        var color = report.Grade switch
        {
            Grade.APlus or Grade.A => "green",
            Grade.D or Grade.F => "red",
            _ => "yellow",
        };
        console.MarkupLine($"Grade: [bold {color}]{GradeRule.ToText(report.Grade)}[/]");
    }
}
