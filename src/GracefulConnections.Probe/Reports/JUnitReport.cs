using System.Globalization;
using System.Xml.Linq;
using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Reports;

/// <summary>The report for CI systems, as JUnit's XML.</summary>
internal static class JUnitReport
{
    public static string Create(RunReport report)
    {
        var suite = new XElement(
            "testsuite",
            new XAttribute("name", $"graceful-probe {report.Target}"),
            new XAttribute("tests", report.Scenarios.Count),
            new XAttribute("failures", Count(report, Verdict.Fail)),
            new XAttribute("errors", Count(report, Verdict.Error)),
            new XAttribute("skipped", Count(report, Verdict.Skipped)),
            new XAttribute("time", Seconds(report.Ms)),
            new XAttribute("timestamp", report.StartedAt.UtcDateTime.ToString("s", CultureInfo.InvariantCulture)),
            new XElement("properties", new XElement(
                "property", new XAttribute("name", "grade"), new XAttribute("value", GradeRule.ToText(report.Grade)))),
            report.Scenarios.Select(scenario => Create(report, scenario)));
        return $"""<?xml version="1.0" encoding="utf-8"?>{"\n"}{new XElement("testsuites", suite)}""";
    }

    private static XElement Create(RunReport report, ScenarioResult scenario)
    {
        var message = scenario.Reason is null ? scenario.Seen : $"{scenario.Seen}. {scenario.Reason}";
        var outcome = scenario.Verdict switch
        {
            Verdict.Pass => null,
            Verdict.Fail => Outcome("failure", message),
            Verdict.Skipped => Outcome("skipped", message),
            _ => Outcome("error", message),
        };
        outcome?.Add($"expected: {scenario.Expected}\nseen: {scenario.Seen}\n" +
            $"lost bytes: {scenario.LostBytes}\n{scenario.Reference}");
        return new XElement(
            "testcase",
            new XAttribute("classname", $"graceful-probe.{report.Profile}"),
            new XAttribute("name", $"{scenario.Section} {scenario.Name}"),
            new XAttribute("time", Seconds(scenario.Ms)),
            outcome);
    }

    private static XElement Outcome(string name, string message) => new(name, new XAttribute("message", message));

    private static int Count(RunReport report, Verdict verdict) =>
        report.Scenarios.Count(scenario => scenario.Verdict == verdict);

    private static string Seconds(double ms) => (ms / 1000).ToString("0.000", CultureInfo.InvariantCulture);
}
