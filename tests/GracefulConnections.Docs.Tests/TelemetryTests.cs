using System.Globalization;
using System.Reflection;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Docs.Tests;

/// <summary>Every event and every metric stands in the documentation, and no other one does.</summary>
public partial class TelemetryTests
{
    private static readonly Page Observability = Repository.Find("src/docs/observability.md");

    [Fact]
    public void Events_Each_StandsOnThePageWithItsLevel()
    {
        var rows = Observability.Rows("event").ToDictionary(static row => int.Parse(row[0], CultureInfo.InvariantCulture), static row => row[1]);
        var events = (
            from type in typeof(GracefulTelemetry).Assembly.GetTypes()
            from method in type.GetMethods(BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
            let message = method.GetCustomAttribute<LoggerMessageAttribute>()
            where message is not null
            select message).ToList();
        Assert.NotEmpty(events);

        Assert.Equal(events.Select(static one => one.EventId).Order(), rows.Keys.Order());
        Faults.AssertNone(
            from one in events
            where one.Level != LogLevel.None && !rows[one.EventId].Contains($"{one.Level}", StringComparison.Ordinal)
            select $"Event {one.EventId} is at {one.Level}, and the page says {rows[one.EventId]}");
    }

    [Fact]
    public void Names_OfMetricsTagsAndSpans_StandOnThePage()
    {
        var names = typeof(GracefulTelemetry).GetFields(BindingFlags.Static | BindingFlags.Public)
            .Select(static field => field.GetRawConstantValue())
            .OfType<string>()
            .ToList();
        Assert.NotEmpty(names);
        Faults.AssertNone(names.Where(static name => !Observability.Text.Contains($"`{name}`", StringComparison.Ordinal)));
    }

    [Fact]
    public void Dashboard_EveryMetricInIt_Exists()
    {
        using var dashboard = JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.Root, "src/docs/grafana.json")));
        var expressions = dashboard.RootElement.GetProperty("panels").EnumerateArray()
            .SelectMany(static panel => panel.GetProperty("targets").EnumerateArray())
            .Select(static target => target.GetProperty("expr").GetString()!)
            .ToList();
        AssertMetricsExist(expressions);
    }

    [Fact]
    public void Alerts_EveryMetricInThem_Exists() =>
        AssertMetricsExist([.. Observability.Rows("alert").Select(static row => row[1])]);

    private static void AssertMetricsExist(IReadOnlyCollection<string> expressions)
    {
        Assert.NotEmpty(expressions);
        var known = typeof(GracefulTelemetry).GetFields(BindingFlags.Static | BindingFlags.Public)
            .Select(static field => field.GetRawConstantValue())
            .OfType<string>()
            .Select(static name => name.Replace('.', '_'))
            .ToHashSet();
        Faults.AssertNone(
            from expression in expressions
            from Match match in MetricName().Matches(expression)
            where !known.Contains(Unit().Replace(match.Value, ""))
            select $"{match.Value} in {expression}");
    }

    [GeneratedRegex("graceful_[a-z_]+")]
    private static partial Regex MetricName();

    // What the exporter for Prometheus adds to a name.
    [GeneratedRegex("(_seconds|_bytes)?(_count|_sum|_bucket|_total)?$")]
    private static partial Regex Unit();
}
