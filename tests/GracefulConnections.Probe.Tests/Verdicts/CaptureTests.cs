using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Tests.Servers;
using GracefulConnections.Probe.Tests.Support;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Tests.Verdicts;

/// <summary>What the probe says that the server sent, beside what tcpdump saw on the wire.</summary>
public sealed class CaptureTests
{
    [Theory]
    [InlineData("half-close", nameof(ServerFault.None))]
    [InlineData("half-close", nameof(ServerFault.DropsRepliesAtFin))]
    [InlineData("bytes-after-fin", nameof(ServerFault.None))]
    [InlineData("reply-while-uploading", nameof(ServerFault.None))]
    [InlineData("urgent-byte", nameof(ServerFault.ResetsAtEnd))]
    public async Task Events_OfAScenario_AreWhatWasOnTheWire(string scenario, string fault)
    {
        await using var server = new LineServer(Enum.Parse<ServerFault>(fault));
        await using var wire = await WireLog.StartAsync(server.Port);

        var result = await Probing.RunAsync(server.Port, scenario);

        var seen = await wire.StopAsync();
        Assert.True(result.Verdict is Verdict.Pass or Verdict.Fail, Probing.Describe(result));
        Assert.Equal(2, seen.Count); // The calibration's connection, and the scenario's.
        var (bytes, fin, reset) = seen[1];
        Assert.Equal(bytes, Sum(result, WireKind.Data));
        Assert.Equal(fin, Has(result, WireKind.Fin));
        Assert.Equal(reset, Has(result, WireKind.Reset));
    }

    [Fact]
    public async Task Events_ServerThatResets_HaveTheReset()
    {
        await using var server = new LineServer(ServerFault.ClosesAtOnce);
        await using var wire = await WireLog.StartAsync(server.Port);

        var result = await Probing.RunAsync(server.Port, "reply-while-uploading");

        var (bytes, _, reset) = (await wire.StopAsync())[1];
        Assert.True(reset && Has(result, WireKind.Reset), Probing.Describe(result));
        Assert.InRange(Sum(result, WireKind.Data), 1, bytes); // What the kernel had, and the RST threw away, is not read.
    }

    private static long Sum(ScenarioResult result, WireKind kind) =>
        result.Events.Where(one => one.FromServer && one.Kind == kind).Sum(one => one.Bytes);

    private static bool Has(ScenarioResult result, WireKind kind) =>
        result.Events.Any(one => one.FromServer && one.Kind == kind);
}
