using GracefulConnections.Probe.Stopping;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>Every scenario that there is, in the order of sections.</summary>
internal static class Catalog
{
    public static IReadOnlyList<Scenario> Scenarios { get; } =
    [
        new ReplyWhileUploading(),
        new BytesAfterFin(),
        new SilentAfterFin(),
        new HalfClose(),
        new ResetInTheMiddle(),
        new CloseWithoutReading(),
        new SlowReader(),
        new ClosedWindow(),
        new IdleConnections(),
        new HalfRequest(),
        new HalfRequestSilence(),
        new UrgentByte(),
        new TlsCloseNotify(),
        new TlsAnswer(),
        new TlsHalfClose(),
        new TlsTruncation(),
    ];

    /// <summary>Gets what each section is about, by its number.</summary>
    public static IReadOnlyDictionary<char, string> Sections { get; } = new Dictionary<char, string>
    {
        ['1'] = "The server ends first",
        ['2'] = "The peer ends first",
        ['3'] = "Slow, silent and unusual peers",
        ['4'] = "TLS (with --tls)",
        ['5'] = "The server restarts (with --restart-command)",
        ['6'] = "The server stops (with --pid or --stop-command)",
    };

    public static IReadOnlyList<ScenarioInfo> Infos { get; } =
    [
        .. Scenarios.Select(scenario => scenario.Info),
        .. StopParts.Of(StopKind.Restart).Select(part => part.Info),
        .. StopParts.Of(StopKind.Stop).Select(part => part.Info),
    ];

    public static ScenarioInfo? Find(string name) =>
        Infos.FirstOrDefault(
            info => info.Name.Equals(name, StringComparison.OrdinalIgnoreCase) || info.Section == name);
}
