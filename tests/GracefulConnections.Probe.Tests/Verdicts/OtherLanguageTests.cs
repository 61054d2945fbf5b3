using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Tests.Servers;
using GracefulConnections.Probe.Tests.Support;

namespace GracefulConnections.Probe.Tests.Verdicts;

/// <summary>Scenarios against servers in Python and in C that pass them, and such that were made to fail them.</summary>
public sealed class OtherLanguageTests
{
    [Theory]
    [InlineData("reply-while-uploading", "None", nameof(Verdict.Pass), nameof(Fault.None))]
    [InlineData("reply-while-uploading", "ClosesAtOnce", nameof(Verdict.Fail), nameof(Fault.LostBehindReset))]
    [InlineData("bytes-after-fin", "None", nameof(Verdict.Pass), nameof(Fault.None))]
    [InlineData("bytes-after-fin", "ClosesAtOnce", nameof(Verdict.Fail), nameof(Fault.LostBehindReset))]
    [InlineData("silent-after-fin", "None", nameof(Verdict.Pass), nameof(Fault.None))]
    [InlineData("half-close", "None", nameof(Verdict.Pass), nameof(Fault.None))]
    [InlineData("half-request", "None", nameof(Verdict.Pass), nameof(Fault.None))]
    [InlineData("half-request", "ExecutesHalfAtFin", nameof(Verdict.Fail), nameof(Fault.ExecutedHalf))]
    [InlineData("idle-connections", "None", nameof(Verdict.Pass), nameof(Fault.None))]
    public async Task Scenario_ServerInPythonAndC_IsJudgedRightly(string scenario, string fault, string verdict, string found)
    {
        await using var python = await ServerProcess.StartPythonAsync(fault);
        await using var c = await ServerProcess.StartCAsync(fault);

        var ofPython = await Probing.RunAsync(python.Port, scenario);
        var ofC = await Probing.RunAsync(c.Port, scenario);

        var expected = (Enum.Parse<Verdict>(verdict), Enum.Parse<Fault>(found));
        Assert.True((ofPython.Verdict, ofPython.Fault) == expected, $"Python: {Probing.Describe(ofPython)}");
        Assert.True((ofC.Verdict, ofC.Fault) == expected, $"C: {Probing.Describe(ofC)}");
    }

    [Theory]
    [InlineData("tls-close-notify", "None", nameof(Verdict.Pass), nameof(Fault.None))]
    [InlineData("tls-close-notify", "SaysNoCloseNotify", nameof(Verdict.Fail), nameof(Fault.UncleanEnd))]
    [InlineData("tls-answer", "None", nameof(Verdict.Pass), nameof(Fault.None))]
    [InlineData("tls-answer", "SaysNoCloseNotify", nameof(Verdict.Fail), nameof(Fault.UncleanEnd))]
    [InlineData("tls-half-close", "None", nameof(Verdict.Pass), nameof(Fault.None))]
    [InlineData("tls-half-close", "DropsRepliesAtFin", nameof(Verdict.Fail), nameof(Fault.LostBehindEnd))]
    [InlineData("tls-truncation", "None", nameof(Verdict.Pass), nameof(Fault.None))]
    [InlineData("tls-truncation", "ExecutesHalfAtFin", nameof(Verdict.Fail), nameof(Fault.ExecutedHalf))]
    [InlineData("reply-while-uploading", "None", nameof(Verdict.Pass), nameof(Fault.None))]
    [InlineData("reply-while-uploading", "ClosesAtOnce", nameof(Verdict.Fail), nameof(Fault.LostBehindReset))]
    public async Task TlsScenario_ServerInPython_IsJudgedRightly(string scenario, string fault, string verdict, string found)
    {
        await using var server = await ServerProcess.StartPythonTlsAsync(fault);

        var result = await Probing.RunAsync(server.Port, scenario, tls: true);

        Assert.True(
            (result.Verdict, result.Fault) == (Enum.Parse<Verdict>(verdict), Enum.Parse<Fault>(found)), Probing.Describe(result));
    }
}
