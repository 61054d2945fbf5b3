using System.Globalization;
using System.Net;
using System.Reflection;
using System.Text;
using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Scenarios;

namespace GracefulConnections.Probe.Reports;

/// <summary>The report to look at and to attach: one file that asks no other host for anything.</summary>
internal static class HtmlReport
{
    public static string Create(RunReport report)
    {
        var html = new StringBuilder();
        var title = Text($"{GradeRule.ToText(report.Grade)}: {report.Target}");
        var tls = report.Tls is null ? "" : $", {report.Tls}";
        html.Append(CultureInfo.InvariantCulture, $"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>{title}</title>
            <style>
            {ReadStyle()}
            </style>
            </head>
            <body>
            <header>
            <p class="grade grade-{GradeClass(report.Grade)}">{Text(GradeRule.ToText(report.Grade))}</p>
            <h1>{Text(report.Target)}</h1>
            <p>How the server ends its TCP connections. Profile {Text(report.Profile + tls)},
            {report.StartedAt.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC, {report.Ms / 1000:0.0} s.</p>
            </header>
            <main>

            """);
        WriteTable(html, report);
        foreach (var section in report.Scenarios.GroupBy(scenario => scenario.Section[0]))
        {
            html.Append(CultureInfo.InvariantCulture,
                $"<h2>{section.Key}. {Text(Catalog.Sections[section.Key])}</h2>\n");
            foreach (var scenario in section)
            {
                Write(html, scenario);
            }
        }

        return html.Append("</main>\n</body>\n</html>").ToString();
    }

    private static void WriteTable(StringBuilder html, RunReport report)
    {
        html.Append("<table>\n<caption>All scenarios</caption>\n" +
            "<thead><tr><th scope=\"col\">Scenario</th><th scope=\"col\">Verdict</th>");
        html.Append("<th scope=\"col\">Lost bytes</th><th scope=\"col\">Seen</th></tr></thead>\n<tbody>\n");
        foreach (var scenario in report.Scenarios)
        {
            html.Append(CultureInfo.InvariantCulture, $"""
                <tr><th scope="row"><a href="#{Text(scenario.Name)}">{scenario.Section} {Text(scenario.Name)}</a></th>
                <td>{Badge(scenario)}</td><td class="number">{scenario.LostBytes:N0}</td><td>{Text(scenario.Seen)}</td></tr>

                """);
        }

        html.Append("</tbody>\n</table>\n");
    }

    private static void Write(StringBuilder html, ScenarioResult scenario)
    {
        var isOpen = scenario.Verdict == Verdict.Fail ? " open=\"open\"" : "";
        html.Append(CultureInfo.InvariantCulture, $"""
            <details id="{Text(scenario.Name)}"{isOpen}>
            <summary>{Badge(scenario)} {scenario.Section} {Text(scenario.Name)}
            <small>{scenario.Ms:N0} ms</small></summary>
            <dl>
            <dt>Expected</dt><dd>{Text(scenario.Expected)}</dd>
            <dt>Seen</dt><dd>{Text(scenario.Seen)}</dd>

            """);
        if (scenario.Reason is { } reason)
        {
            html.Append(CultureInfo.InvariantCulture, $"<dt>Because</dt><dd>{Text(reason)}</dd>\n");
        }

        html.Append(CultureInfo.InvariantCulture, $"<dt>See</dt><dd>{Text(scenario.Reference)}</dd>\n</dl>\n");
        SequencePicture.Write(html, scenario);
        html.Append("</details>\n");
    }

    private static string Badge(ScenarioResult scenario)
    {
        var name = ReportNames.Of(scenario.Verdict);
        return $"<span class=\"badge {name}\">{name}</span>";
    }

    private static string GradeClass(Grade? grade) => grade switch
    {
        Grade.APlus or Grade.A => "good",
        Grade.D or Grade.F => "bad",
        _ => "middle",
    };

    private static string Text(string text) => WebUtility.HtmlEncode(text);

    private static string ReadStyle()
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream("report.css")!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().TrimEnd();
    }
}
