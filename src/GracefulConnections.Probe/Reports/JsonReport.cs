using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Reports;

/// <summary>The report for programs. Its schema is <c>report.schema.json</c>.</summary>
internal static class JsonReport
{
    private const int Version = 1;

    public static string Create(RunReport report)
    {
        using var stream = new MemoryStream();
        var options = new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        using (var writer = new Utf8JsonWriter(stream, options))
        {
            Write(writer, report);
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static void Write(Utf8JsonWriter writer, RunReport report)
    {
        writer.WriteStartObject();
        writer.WriteNumber("version", Version);
        writer.WriteString("target", report.Target);
        writer.WriteString("profile", report.Profile);
        writer.WriteString("tls", report.Tls);
        writer.WriteString("startedAt", report.StartedAt);
        writer.WriteNumber("ms", Round(report.Ms));
        writer.WriteString("grade", report.Grade is { } grade ? GradeRule.ToText(grade) : null);
        writer.WriteStartArray("scenarios");
        foreach (var scenario in report.Scenarios)
        {
            Write(writer, scenario);
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter writer, ScenarioResult scenario)
    {
        writer.WriteStartObject();
        writer.WriteString("section", scenario.Section);
        writer.WriteString("name", scenario.Name);
        writer.WriteString("verdict", ReportNames.Of(scenario.Verdict));
        writer.WriteString("fault", ReportNames.Of(scenario.Fault));
        writer.WriteNumber("lostBytes", scenario.LostBytes);
        writer.WriteString("expected", scenario.Expected);
        writer.WriteString("seen", scenario.Seen);
        writer.WriteString("reason", scenario.Reason);
        writer.WriteString("reference", scenario.Reference);
        writer.WriteNumber("ms", Round(scenario.Ms));
        writer.WriteStartArray("events");
        foreach (var one in scenario.Events)
        {
            Write(writer, one);
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter writer, WireEvent one)
    {
        writer.WriteStartObject();
        writer.WriteNumber("ms", Round(one.Ms));
        writer.WriteNumber("untilMs", Round(one.UntilMs));
        writer.WriteNumber("connection", one.Connection);
        writer.WriteString("from", one.FromServer ? "server" : "probe");
        writer.WriteString("what", ReportNames.Of(one.Kind));
        writer.WriteNumber("bytes", one.Bytes);
        writer.WriteString("note", one.Note);
        writer.WriteEndObject();
    }

    private static double Round(double ms) => Math.Round(ms, 1);
}
