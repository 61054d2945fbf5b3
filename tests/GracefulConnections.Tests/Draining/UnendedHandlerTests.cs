using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Draining;

/// <summary>Handlers that go on when their connection was aborted.</summary>
public class UnendedHandlerTests
{
    [Fact]
    public async Task Deadline_Live_LeavesTheHandlerAndSaysSo()
    {
        var sut = new TestDrain();
        var connection = sut.AcceptIgnorant("stuck");
        var draining = sut.Coordinator.DrainAsync(_ => true);

        sut.AdvanceSeconds(20);
        sut.AdvanceSeconds(0.5);

        await draining.WithinLimit();
        Assert.Equal((0, 1), (connection.AbandonCount, sut.Coordinator.ConnectionCount));
        var entry = Assert.Single(sut.Logger.Entries, entry => entry.Id.Name == "HandlerIgnoresAbort");
        Assert.Equal(LogLevel.Warning, entry.Level);
        Assert.Equal(
            """Connection id "stuck": the handler had not returned 0.5 s after its connection was aborted. It is left running, and its connection goes on being counted. Look for a call in it that blocks or ignores CloseRequested.""", entry.Message);
        connection.End();
        Assert.Equal(0, sut.Coordinator.ConnectionCount);
    }

    [Fact]
    public async Task Deadline_HostStops_AbandonsTheHandlerAndNamesIt()
    {
        var sut = new TestDrain();
        var stuck = sut.AcceptIgnorant("stuck");
        var obedient = sut.Accept("obedient");
        var ended = sut.StopHost();

        sut.AdvanceSeconds(20);
        Assert.Equal(0, stuck.AbandonCount);
        sut.AdvanceSeconds(0.5);

        await ended.WithinLimit();
        Assert.Equal((1, 0), (stuck.AbandonCount, obedient.AbandonCount));
        var entry = Assert.Single(sut.Logger.Entries, entry => entry.Id.Name == "HandlerAbandoned");
        Assert.Equal(LogLevel.Warning, entry.Level);
        Assert.Equal("""Connection id "stuck": the handler had not returned 0.5 s after its connection was aborted. The host stops without it. Look for a call in it that blocks or ignores CloseRequested.""", entry.Message);
    }

    [Fact]
    public async Task Deadline_HostStopsDuringALiveDrain_AbandonsTheHandler()
    {
        var sut = new TestDrain();
        var stuck = sut.AcceptIgnorant("stuck");
        var live = sut.DrainLive();
        var ended = sut.StopHost();

        sut.AdvanceSeconds(20);
        sut.AdvanceSeconds(0.5);

        await ended.WithinLimit();
        Assert.Equal(1, stuck.AbandonCount);
        Assert.Equal(1, (await live.WithinLimit()).UnendedHandlerCount);
    }

    [Fact]
    public async Task Deadline_HandlersAreNamedBeforeTheReportLetsTheProcessExit()
    {
        var sut = new TestDrain();
        sut.AcceptIgnorant("stuck");
        _ = sut.StopHost();
        sut.AdvanceSeconds(20);
        sut.AdvanceSeconds(0.5);

        Assert.Equal(["DrainAnnounced", "DrainStarted", "DrainProgress", "HandlerAbandoned", "DrainAborted", "DrainEnded"], sut.Logger.Events.Distinct());
        Assert.Equal(1, (await sut.Coordinator.DrainAsync().WithinLimit()).UnendedHandlerCount);
    }
}
