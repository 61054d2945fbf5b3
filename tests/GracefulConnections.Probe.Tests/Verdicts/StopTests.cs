using System.Diagnostics;
using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Stopping;
using GracefulConnections.Probe.Tests.Servers;
using GracefulConnections.Probe.Tests.Support;

namespace GracefulConnections.Probe.Tests.Verdicts;

/// <summary>Stops and restarts, of a server that says goodbye and of one that does not.</summary>
public sealed class StopTests
{
    private static readonly string[] StopNames =
        ["stop-idle", "stop-busy", "stop-asking", "stop-half-way", "stop-connecting", "stop-exit"];

    private static readonly string[] RestartNames =
        ["restart-idle", "restart-busy", "restart-asking", "restart-half-way", "restart-connecting", "restart-serves"];

    [Fact]
    public async Task Stop_ServerThatDrains_EveryPartPasses()
    {
        await using var server = await ServerProcess.StartPythonAsync("None");

        var report = await StopAsync(server, new StopAction(server.Pid, null));

        Assert.Equal(StopNames, report.Scenarios.Select(result => result.Name));
        Assert.All(report.Scenarios, result => Assert.True(result.Verdict == Verdict.Pass, $"{result.Name}: {Probing.Describe(result)}"));
        Assert.Equal(Grade.APlus, report.Grade);
    }

    [Fact]
    public async Task Stop_ServerThatDies_BusyPeersLostReplies()
    {
        await using var server = await ServerProcess.StartPythonAsync("DiesAtStop");

        var report = await StopAsync(server, new StopAction(null, $"kill -TERM {server.Pid}"));

        Assert.Contains(report.Scenarios, result => result is { Name: "stop-busy", Verdict: Verdict.Fail, LostBytes: > 0 });
        Assert.Contains(report.Scenarios, result => result is { Name: "stop-exit", Verdict: Verdict.Pass });
        Assert.True(report.Grade >= Grade.D, $"{report.Grade}");
    }

    [Theory]
    [InlineData("stop-idle", "ResetsAtStop", nameof(Fault.UncleanEnd))]
    [InlineData("stop-asking", "CutsAtStop", nameof(Fault.LostBehindEnd))]
    [InlineData("stop-half-way", "ExecutesHalfAtStop", nameof(Fault.ExecutedHalf))]
    [InlineData("stop-connecting", "CutsAtStop", nameof(Fault.LostBehindEnd))]
    [InlineData("stop-exit", "StaysAtStop", nameof(Fault.LateRelease))]
    public async Task Stop_FaultyServer_ThePartFails(string part, string serverFault, string fault)
    {
        await using var server = await ServerProcess.StartPythonAsync(serverFault);

        var report = await StopAsync(server, new StopAction(server.Pid, null));

        AssertFailed(report, part, fault);
    }

    [Fact]
    public async Task Restart_ServerComesBack_EveryPartPasses()
    {
        var report = await RestartAsync("None");

        Assert.Equal(RestartNames, report.Scenarios.Select(result => result.Name));
        Assert.All(report.Scenarios, result => Assert.True(result.Verdict == Verdict.Pass, $"{result.Name}: {Probing.Describe(result)}"));
    }

    [Theory]
    [InlineData("restart-idle", "ResetsAtStop", nameof(Fault.UncleanEnd))]
    [InlineData("restart-busy", "CutsAtStop", nameof(Fault.LostBehindEnd))]
    [InlineData("restart-asking", "CutsAtStop", nameof(Fault.LostBehindEnd))]
    [InlineData("restart-half-way", "ExecutesHalfAtStop", nameof(Fault.ExecutedHalf))]
    [InlineData("restart-connecting", "CutsAtStop", nameof(Fault.LostBehindEnd))]
    public async Task Restart_FaultyServer_ThePartFails(string part, string serverFault, string fault) =>
        AssertFailed(await RestartAsync(serverFault), part, fault);

    [Fact]
    public async Task Restart_NoServerComesBack_ServesFails()
    {
        await using var server = await ServerProcess.StartPythonAsync("None");

        var report = await Probing.RunAllAsync(Probing.CreateOptions(server.Port) with
        {
            Restart = new StopAction(null, $"kill -TERM {server.Pid}"),
            Only = new HashSet<string> { "restart-serves" },
        });

        AssertFailed(report, "restart-serves", nameof(Fault.Died));
    }

    private static void AssertFailed(RunReport report, string part, string fault)
    {
        var result = Assert.Single(report.Scenarios, result => result.Name == part);
        Assert.True(
            (result.Verdict, result.Fault) == (Verdict.Fail, Enum.Parse<Fault>(fault)), Probing.Describe(result));
    }

    private static Task<RunReport> StopAsync(ServerProcess server, StopAction action) =>
        Probing.RunAllAsync(Probing.CreateOptions(server.Port) with { Stop = action, Only = StopNames.ToHashSet() });

    // The server that comes back has no fault.
    private static async Task<RunReport> RestartAsync(string fault)
    {
        await using var first = await ServerProcess.StartPythonAsync(fault);
        var pidFile = Path.GetTempFileName();
        try
        {
            var second = $"{ServerProcess.Python} {ServerProcess.PythonScript} None {first.Port}";
            var restart = new StopAction(null, $"kill -TERM {first.Pid}; {second} >/dev/null & echo $! > {pidFile}");
            return await Probing.RunAllAsync(
                Probing.CreateOptions(first.Port) with { Restart = restart, Only = RestartNames.ToHashSet() });
        }
        finally
        {
            if (int.TryParse(await File.ReadAllTextAsync(pidFile, CancellationToken.None), out var pid))
            {
                Process.GetProcessById(pid).Kill();
            }

            File.Delete(pidFile);
        }
    }
}
