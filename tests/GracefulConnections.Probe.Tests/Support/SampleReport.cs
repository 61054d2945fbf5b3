using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Tests.Support;

/// <summary>A report with one scenario of each verdict, and texts that HTML and XML must not take for markup.</summary>
internal static class SampleReport
{
    public const string Hostile = """<script>alert("1" & '2')</script>""";

    public static RunReport Create() => new(
        "127.0.0.1:7000",
        "line",
        "Tls13",
        new DateTimeOffset(2031, 5, 6, 7, 8, 9, TimeSpan.Zero),
        1234.56,
        [
            CreateScenario("Pass None"),
            CreateScenario("Fail LostBehindReset") with
            {
                Section = "2.1", Name = "half-close", LostBytes = 1234567, Reason = Hostile, Events = CreateEvents(),
            },
            CreateScenario("Skipped None") with { Section = "3.1", Name = "slow-reader", Reason = "Not here." },
            CreateScenario("Error None") with { Section = "3.2", Name = "closed-window", Reason = "Not sure." },
        ]);

    /// <summary>Creates a scenario from the names of its verdict and fault.</summary>
    public static ScenarioResult CreateScenario(string verdictAndFault)
    {
        var words = verdictAndFault.Split(' ');
        return new ScenarioResult
        {
            Section = "1.1",
            Name = "reply-while-uploading",
            Verdict = Enum.Parse<Verdict>(words[0]),
            Fault = Enum.Parse<Fault>(words[1]),
            LostBytes = 0,
            Expected = "Every reply, then FIN.",
            Seen = "1,000 bytes, then FIN",
            Reference = "RFC 9293 3.6",
            Ms = 12.34,
        };
    }

    private static List<WireEvent> CreateEvents() =>
    [
        .. Enum.GetValues<WireKind>().Select((kind, i) =>
            new WireEvent(i, i + 0.5, 1 + (i % 2), i % 2 == 1, kind, i * 1000, kind == WireKind.Note ? Hostile : null)),
    ];
}
