namespace TeardownLab;

/// <summary>One column of the report.</summary>
internal sealed record ReportColumn(string Name, Func<Run, string> Format, bool IsNumber = false)
{
    public static ReportColumn Scenario { get; } = new("scenario", run => run.Scenario.LosesByIntent ? $"{run.Scenario.Name}*" : run.Scenario.Name);

    public static IReadOnlyList<ReportColumn> All { get; } =
    [
        Scenario,
        new("server", run => run.Server == ServerKind.Stock ? "stock" : "graceful"),
        new("bytes written", run => $"{run.Scenario.WrittenBytes:N0}", IsNumber: true),
        new("bytes received", run => $"{run.ReceivedBytes:N0}", IsNumber: true),
        new("bytes lost", run => $"{run.LostBytes:N0}", IsNumber: true),
        new("peer saw", run => run.PeerSaw switch { PeerSaw.Eof => "EOF", PeerSaw.Reset => "reset", _ => "-" }),
        new("outcome", run => run.Close?.Outcome.ToString() ?? "-"),
        new("ms", run => run.Close is { } close ? $"{close.Duration.TotalMilliseconds:N0}" : "-", IsNumber: true),
    ];
}
