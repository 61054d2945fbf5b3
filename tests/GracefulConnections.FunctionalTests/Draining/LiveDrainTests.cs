using GracefulConnections.FunctionalTests.Support;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary><c>DrainAsync()</c> on a server that goes on: everything is drained, once, and nothing is ever left behind by the server.</summary>
public class LiveDrainTests
{
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(200);

    [Fact]
    public async Task Drain_ConnectionThatComesMeanwhile_IsAcceptedAndAskedAtOnce()
    {
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync);
        await using var early = await server.ConnectTrackedAsync();

        var draining = server.DrainAsync();
        Assert.Equal((0, PeerSaw.Eof), await early.ReadToEndAsync());
        await using var meanwhile = await server.ConnectAsync();
        Assert.Equal((0, PeerSaw.Eof), await meanwhile.ReadToEndAsync());
        Assert.Equal((DrainPhase.Draining, 2), (server.Drain.Phase, server.Drain.ConnectionCount));
        early.HalfClose();
        meanwhile.HalfClose();

        var report = await draining;
        Assert.Equal((2, 2, DrainPhase.Drained), (report.ConnectionCount, report.DeliveredCount, server.Drain.Phase));
        for (var i = 0; i < report.ConnectionCount; i++)
        {
            var result = await server.NextResultAsync();
            Assert.Equal((CloseReason.Drain, CloseOutcome.Graceful), (result.Reason, result.Outcome));
        }
    }

    [Fact]
    public async Task Drain_ConnectionThatComesAfterTheEnd_IsAskedAtOnce()
    {
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync);
        var report = await server.DrainAsync();
        await using var late = await server.ConnectAsync();

        Assert.Equal((0, PeerSaw.Eof), await late.ReadToEndAsync());
        late.HalfClose();
        Assert.Equal((CloseReason.Drain, CloseOutcome.Graceful), await NextAsync(server));
        Assert.Equal((0, DrainPhase.Drained), (report.ConnectionCount, server.Drain.Phase));
    }

    [Fact]
    public async Task Drain_CalledAgainAndThenTheHostStops_IsOneDrainWithOneReport()
    {
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync);
        await using var peer = await server.ConnectTrackedAsync();

        var first = server.DrainAsync();
        var second = server.DrainAsync();
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();

        var report = await first;
        Assert.Same(report, await second);
        Assert.Same(report, await server.StopAndReportAsync());
        Assert.Equal(1, report.ConnectionCount);
    }

    [Fact]
    public async Task Drain_HostStopsMeanwhile_WaitsForTheSameDrain()
    {
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync);
        await using var peer = await server.ConnectTrackedAsync();

        var draining = server.DrainAsync();
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        var stopping = server.StopAndReportAsync();
        await Eventually.IsTrueAsync(() => KernelSocket.OnPort(server.Port).All(socket => socket.RemotePort != 0)); // It listens no more.
        Assert.False(stopping.IsCompleted);
        peer.HalfClose();

        Assert.Same(await draining, await stopping);
        Assert.Equal((CloseReason.Drain, CloseOutcome.Graceful), await NextAsync(server));
    }

    [Fact]
    public async Task Drain_CallerGivesUp_GoesOn()
    {
        using var patience = new CancellationTokenSource();
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync);
        await using var peer = await server.ConnectTrackedAsync();

        var draining = server.Drain.DrainAsync(patience.Token);
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => draining);

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        Assert.Equal(1, (await server.DrainAsync()).DeliveredCount);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Drain_HandlerIgnoresItsAbort_IsReportedAndStaysCountedUntilItReturns(bool isPart)
    {
        using var log = new CapturedLog();
        var handler = new TaskCompletionSource();
        await using var server = await TestServer.StartDrainingAsync(_ => handler.Task, drain => drain.DrainTimeout = Short, build: builder => builder.Logging.AddProvider(log));
        try
        {
            await using var peer = await server.ConnectTrackedAsync();

            var report = await (isPart ? server.DrainAsync(static _ => true) : server.DrainAsync());

            Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());
            Assert.Equal((1, 1, 1), (report.ConnectionCount, report.UnendedHandlerCount, report.Outcomes[CloseOutcome.Aborted]));
            AssertWarning(log, Assert.Single(report.Aborted), "It is left running, and its connection goes on being counted.");
            var left = Assert.Single(server.Drain.GetConnections());
            Assert.Equal((CloseState.Aborted, report.Aborted[0].ConnectionId), (left.State, left.ConnectionId));

            handler.SetResult();
            await Eventually.IsTrueAsync(() => server.Drain.ConnectionCount == 0);
        }
        finally
        {
            handler.TrySetResult();
        }
    }

    [Fact]
    public async Task Stop_AfterADrainThatLeftAHandlerRunning_AbandonsIt()
    {
        using var log = new CapturedLog();
        await using var server = await TestServer.StartDrainingAsync(
            _ => new TaskCompletionSource().Task,
            drain => drain.DrainTimeout = Short,
            build: builder => builder.Logging.AddProvider(log));
        await using var peer = await server.ConnectTrackedAsync();
        var report = await server.DrainAsync();

        Assert.Same(report, await server.StopAndReportAsync());

        AssertWarning(log, Assert.Single(report.Aborted), "The host stops without it.");
        Assert.Equal(0, server.Drain.ConnectionCount);
    }

    private static async Task<(CloseReason Reason, CloseOutcome Outcome)> NextAsync(TestServer server)
    {
        var result = await server.NextResultAsync();
        return (result.Reason, result.Outcome);
    }

    private static void AssertWarning(CapturedLog log, TrackedConnectionInfo connection, string end) => Assert.Single(log.Entries, entry =>
        entry.Level == LogLevel.Warning && entry.Message.Contains($"\"{connection.ConnectionId}\"", StringComparison.Ordinal) && entry.Message.EndsWith($"{end} Look for a call in it that blocks or ignores CloseRequested.", StringComparison.Ordinal));
}
