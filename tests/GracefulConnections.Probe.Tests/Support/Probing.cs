using System.Net;
using GracefulConnections.FunctionalTests.Support;
using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Profiles;
using GracefulConnections.Probe.Running;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Tests.Support;

/// <summary>Runs single scenarios against a server on this machine.</summary>
internal static class Probing
{
    /// <summary>The longest time that a scenario may take here. The slowest one waits 61 s for a server to let go.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(150);

    public static async Task<ScenarioResult> RunAsync(
        int port, string scenario, bool tls = false, TimeProvider? time = null)
    {
        var options = CreateOptions(port, tls) with { Only = new HashSet<string> { scenario } };
        var report = await RunAllAsync(options, time);
        return Assert.Single(report.Scenarios);
    }

    public static async Task<RunReport> RunAllAsync(RunOptions options, TimeProvider? time = null)
    {
        using var limit = new CancellationTokenSource(Limit);
        return await new ProbeRun(options, new SilentObserver(), time ?? TimeProvider.System).RunAsync(limit.Token);
    }

    public static RunOptions CreateOptions(int port, bool tls = false) => new()
    {
        Target = new Target("127.0.0.1", IPAddress.Loopback, port),
        Profile = BuiltInProfiles.Find("line", "127.0.0.1")!,
        Tls = tls ? new TlsSettings("localhost", TestCertificate.Server, IsInsecure: false) : null,
        IdleConnections = 50,
    };

    public static string Describe(ScenarioResult result) =>
        $"{result.Verdict} {result.Fault} {result.LostBytes}: {result.Seen}; {result.Reason}";
}
