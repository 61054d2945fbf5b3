using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Tests.Servers;
using GracefulConnections.Probe.Tests.Support;

namespace GracefulConnections.Probe.Tests.Verdicts;

/// <summary>Each scenario against a server in C# that passes it, and one that was made to fail it.</summary>
public sealed class LineServerTests
{
    [Theory]
    [InlineData("reply-while-uploading")]
    [InlineData("bytes-after-fin")]
    [InlineData("silent-after-fin")]
    [InlineData("half-close")]
    [InlineData("reset-in-the-middle")]
    [InlineData("close-without-reading")]
    [InlineData("slow-reader")]
    [InlineData("closed-window")]
    [InlineData("idle-connections")]
    [InlineData("half-request")]
    [InlineData("half-request-silence")]
    [InlineData("urgent-byte")]
    public async Task Scenario_CorrectServer_Passes(string scenario)
    {
        await using var server = new LineServer(ServerFault.None);

        var result = await Probing.RunAsync(server.Port, scenario);

        Assert.True(result is { Verdict: Verdict.Pass, LostBytes: 0, Fault: Fault.None }, Probing.Describe(result));
    }

    [Theory]
    [InlineData("reply-while-uploading", nameof(ServerFault.ClosesAtOnce), nameof(Fault.LostBehindReset))]
    [InlineData("bytes-after-fin", nameof(ServerFault.ClosesAtOnce), nameof(Fault.LostBehindReset))]
    [InlineData("silent-after-fin", nameof(ServerFault.HoldsForEver), nameof(Fault.LateRelease))]
    [InlineData("half-close", nameof(ServerFault.DropsRepliesAtFin), nameof(Fault.LostBehindEnd))]
    [InlineData("reset-in-the-middle", nameof(ServerFault.DiesOfReset), nameof(Fault.Died))]
    [InlineData("close-without-reading", nameof(ServerFault.DiesOfReset), nameof(Fault.Died))]
    [InlineData("slow-reader", nameof(ServerFault.CountsFromItsClose), nameof(Fault.LostBehindReset))]
    [InlineData("closed-window", nameof(ServerFault.GivesUpSlowPeers), nameof(Fault.LostBehindReset))]
    [InlineData("idle-connections", nameof(ServerFault.ResetsAtEnd), nameof(Fault.UncleanEnd))]
    [InlineData("half-request", nameof(ServerFault.ExecutesHalfAtFin), nameof(Fault.ExecutedHalf))]
    [InlineData("half-request-silence", nameof(ServerFault.ExecutesHalfAtSilence), nameof(Fault.ExecutedHalf))]
    [InlineData("urgent-byte", nameof(ServerFault.ResetsAtEnd), nameof(Fault.UncleanEnd))]
    public async Task Scenario_FaultyServer_Fails(string scenario, string serverFault, string fault)
    {
        await using var server = new LineServer(Enum.Parse<ServerFault>(serverFault));

        var result = await Probing.RunAsync(server.Port, scenario);

        Assert.True(result.Verdict == Verdict.Fail, Probing.Describe(result));
        Assert.Equal(Enum.Parse<Fault>(fault), result.Fault);
        Assert.Equal(result.Fault is Fault.LostBehindReset or Fault.LostBehindEnd, result.LostBytes > 0);
    }

    [Fact]
    public async Task UrgentByte_ServerReadsItAsData_IsSkippedWithTheReason()
    {
        await using var server = new LineServer(ServerFault.ReadsUrgentInline);

        var result = await Probing.RunAsync(server.Port, "urgent-byte");

        Assert.True(result.Verdict == Verdict.Skipped, Probing.Describe(result));
        Assert.Contains("as data", result.Reason, StringComparison.Ordinal);
    }

    // A server may let go of a peer that is silent for so long. On a machine that is not busy it fails, as above.
    [Fact]
    public async Task BytesAfterFin_ThePausesTookTooLong_IsNotSureAndSaysWhy()
    {
        await using var server = new LineServer(ServerFault.ClosesAtOnce);

        var result = await Probing.RunAsync(server.Port, "bytes-after-fin", time: new BusyMachineClock());

        Assert.True(result is { Verdict: Verdict.Error, Fault: Fault.None }, Probing.Describe(result));
        Assert.Matches(@"^The pauses took \d+\.\d s, because this machine or the network is busy", result.Reason);
    }

    [Fact]
    public async Task BytesAfterFin_ThePausesTookTooLongForACorrectServer_Passes()
    {
        await using var server = new LineServer(ServerFault.None);

        var result = await Probing.RunAsync(server.Port, "bytes-after-fin", time: new BusyMachineClock());

        Assert.True(result is { Verdict: Verdict.Pass, LostBytes: 0 }, Probing.Describe(result));
    }

    [Theory]
    [InlineData("tls-close-notify")]
    [InlineData("tls-answer")]
    [InlineData("tls-half-close")]
    [InlineData("tls-truncation")]
    [InlineData("reply-while-uploading")]
    [InlineData("half-close")]
    public async Task TlsScenario_CorrectServer_Passes(string scenario)
    {
        await using var server = new LineServer(ServerFault.None, tls: true);

        var result = await Probing.RunAsync(server.Port, scenario, tls: true);

        Assert.True(result.Verdict == Verdict.Pass, Probing.Describe(result));
    }

    // As SSL_shutdown() of OpenSSL does when it is called until it has both sides.
    [Theory]
    [InlineData("reply-while-uploading")]
    [InlineData("bytes-after-fin")]
    [InlineData("tls-answer")]
    [InlineData("tls-half-close")]
    public async Task TlsScenario_ServerAwaitsCloseNotifyBeforeItsFin_Passes(string scenario)
    {
        await using var server = new LineServer(ServerFault.AwaitsCloseNotify, tls: true);

        var result = await Probing.RunAsync(server.Port, scenario, tls: true);

        Assert.True(result.Verdict == Verdict.Pass, Probing.Describe(result));
    }

    [Theory]
    [InlineData("tls-close-notify", nameof(ServerFault.SaysNoCloseNotify), nameof(Fault.UncleanEnd))]
    [InlineData("tls-answer", nameof(ServerFault.SaysNoCloseNotify), nameof(Fault.UncleanEnd))]
    [InlineData("tls-half-close", nameof(ServerFault.DropsRepliesAtFin), nameof(Fault.LostBehindEnd))]
    [InlineData("tls-truncation", nameof(ServerFault.ExecutesHalfAtFin), nameof(Fault.ExecutedHalf))]
    public async Task TlsScenario_FaultyServer_Fails(string scenario, string serverFault, string fault)
    {
        await using var server = new LineServer(Enum.Parse<ServerFault>(serverFault), tls: true);

        var result = await Probing.RunAsync(server.Port, scenario, tls: true);

        Assert.True(result.Verdict == Verdict.Fail, Probing.Describe(result));
        Assert.Equal(Enum.Parse<Fault>(fault), result.Fault);
    }

    [Fact]
    public async Task Scenario_ServerNeverEndsConnections_IsSkippedWithTheReason()
    {
        await using var server = new LineServer(ServerFault.None);

        var options = Probing.CreateOptions(server.Port);
        var report = await Probing.RunAllAsync(options with
        {
            Profile = options.Profile with { Ending = null },
            Only = new HashSet<string> { "reply-while-uploading" },
        });

        var result = Assert.Single(report.Scenarios);
        Assert.Equal((Verdict.Skipped, false), (result.Verdict, string.IsNullOrEmpty(result.Reason)));
    }
}
