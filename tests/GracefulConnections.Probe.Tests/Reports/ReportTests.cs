using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Reports;
using GracefulConnections.Probe.Tests.Support;
using Json.Schema;

namespace GracefulConnections.Probe.Tests.Reports;

public sealed partial class ReportTests
{
    [Fact]
    public void Json_Report_FitsTheSchema()
    {
        var json = JsonReport.Create(SampleReport.Create());

        Assert.True(Fits(json), json);
        using var document = JsonDocument.Parse(json);
        var failed = document.RootElement.GetProperty("scenarios")[1];
        Assert.Equal("D", document.RootElement.GetProperty("grade").GetString());
        Assert.Equal("fail", failed.GetProperty("verdict").GetString());
        Assert.Equal("lostBehindReset", failed.GetProperty("fault").GetString());
        Assert.Equal(1234567, failed.GetProperty("lostBytes").GetInt64());
    }

    [Fact]
    public void Json_AnyVerdictAndFault_FitsTheSchema()
    {
        var scenarios = from verdict in Enum.GetNames<Verdict>()
                        from fault in Enum.GetNames<Fault>()
                        select SampleReport.CreateScenario($"{verdict} {fault}");
        var usable = scenarios.Where(one => one.Verdict != Verdict.Fail || one.Fault != Fault.None).ToList();

        Assert.True(Fits(JsonReport.Create(SampleReport.Create() with { Scenarios = usable, Tls = null })));
    }

    [Theory]
    [InlineData("\"verdict\": \"pass\"", "\"verdict\": \"fine\"")]
    [InlineData("\"grade\": \"D\"", "\"grade\": \"E\"")]
    [InlineData("\"version\": 1", "\"version\": 2")]
    [InlineData("\"lostBytes\": 0", "\"lost\": 0")]
    public void Json_AnythingElse_DoesNotFitTheSchema(string from, string to)
    {
        var json = JsonReport.Create(SampleReport.Create());
        var other = new Regex(Regex.Escape(from)).Replace(json, to, 1);

        Assert.NotEqual(json, other);
        Assert.False(Fits(other));
    }

    [Fact]
    public void JUnit_Report_HasACaseForEachScenario()
    {
        var suite = XDocument.Parse(JUnitReport.Create(SampleReport.Create())).Root!.Element("testsuite")!;

        Assert.Equal(
            ("4", "1", "1", "1"),
            ((string)suite.Attribute("tests")!, (string)suite.Attribute("failures")!, (string)suite.Attribute("errors")!, (string)suite.Attribute("skipped")!));
        Assert.Equal(["", "failure", "skipped", "error"], suite.Elements("testcase").Select(one => one.Elements().FirstOrDefault()?.Name.LocalName ?? ""));
        Assert.Contains(SampleReport.Hostile, (string)suite.Descendants("failure").Single().Attribute("message")!, StringComparison.Ordinal);
    }

    [Fact]
    public void Html_Report_IsOneFileWithAPictureAndNoForeignHost()
    {
        var report = SampleReport.Create();
        var html = HtmlReport.Create(report);
        var body = XDocument.Parse(html[html.IndexOf("<body>", StringComparison.Ordinal)..html.IndexOf("</html>", StringComparison.Ordinal)]).Root!;

        Assert.StartsWith("<!DOCTYPE html>", html, StringComparison.Ordinal);
        Assert.DoesNotContain("://", html, StringComparison.Ordinal);
        Assert.Empty(ActiveContent().Matches(html));
        Assert.Contains("prefers-color-scheme: dark", html, StringComparison.Ordinal);
        Assert.Equal("D", body.Element("header")!.Elements("p").First().Value);
        Assert.Equal(report.Scenarios.Select(one => one.Name), body.Descendants("details").Select(one => (string)one.Attribute("id")!));
        Assert.Equal(report.Scenarios.Select(one => $"#{one.Name}"), body.Descendants("a").Select(one => (string)one.Attribute("href")!));
        var picture = Assert.Single(body.Descendants("svg"));
        var events = report.Scenarios[1].Events;
        Assert.Equal(events.Count - 1, picture.Elements("polygon").Count()); // An arrow for each but the note.
        Assert.Contains(picture.Elements("text"), one => one.Value == SampleReport.Hostile);
        Assert.All(picture.Elements("line"), AssertInside);

        void AssertInside(XElement line)
        {
            var size = ((string)picture.Attribute("viewBox")!).Split(' ').Select(one => int.Parse(one, CultureInfo.InvariantCulture)).ToArray();
            Assert.InRange((int)line.Attribute("y1")!, 0, size[3]);
            Assert.InRange((int)line.Attribute("y2")!, 0, size[3]);
            Assert.InRange((int)line.Attribute("x2")!, 0, size[2]);
        }
    }

    [Fact]
    public void Text_Report_HasSectionsExpectedBesideSeenAndTheGrade()
    {
        using var output = new StringWriter();

        TextReport.Write(SampleReport.Create(), output);

        var lines = output.ToString().Split('\n');
        Assert.Contains(lines, line => line.Contains("2. The peer ends first", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("FAIL  2.1 half-close", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("1,234,567 bytes", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("1 passed, 1 failed, 1 skipped, 1 not sure", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("Grade: D", StringComparison.Ordinal));
    }

    [GeneratedRegex("<script|<link|<img|<iframe|url\\(|@import| on\\w+=", RegexOptions.IgnoreCase)]
    private static partial Regex ActiveContent();

    private static bool Fits(string json)
    {
        var schema = JsonSchema.FromText(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "report.schema.json")));
        return schema.Evaluate(JsonNode.Parse(json)).IsValid;
    }
}
