using GracefulConnections.FunctionalTests.Support;
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

    [Fact]
    public async Task Restart_ServerComesBack_ServesPasses()
    {
        await using var first = await ServerProcess.StartPythonAsync("None");
        var python = RequiredProgram.Find("python3", "python3");
        var script = Path.Combine(AppContext.BaseDirectory, "Servers", "line_server.py");
        var pidFile = Path.GetTempFileName();
        try
        {
            var restart = new StopAction(
                null, $"kill -TERM {first.Pid}; {python} {script} None {first.Port} >/dev/null & echo $! > {pidFile}");
            var options = Probing.CreateOptions(first.Port) with
            {
                Restart = restart,
                Only = new HashSet<string> { "restart-idle", "restart-half-way", "restart-serves" },
            };

            var report = await Probing.RunAllAsync(options);

            Assert.Equal(3, report.Scenarios.Count);
            Assert.All(report.Scenarios, result => Assert.True(result.Verdict == Verdict.Pass, $"{result.Name}: {Probing.Describe(result)}"));
        }
        finally
        {
            if (int.TryParse(await File.ReadAllTextAsync(pidFile, CancellationToken.None), out var pid))
            {
                System.Diagnostics.Process.GetProcessById(pid).Kill();
            }

            File.Delete(pidFile);
        }
    }

    private static Task<RunReport> StopAsync(ServerProcess server, StopAction action) =>
        Probing.RunAllAsync(Probing.CreateOptions(server.Port) with { Stop = action, Only = StopNames.ToHashSet() });
}
