using System.Net;
using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Draining;

/// <summary>What an operator reads while the server drains.</summary>
public class DrainLogTests
{
    private static readonly IPEndPoint Peer = new(IPAddress.Parse("192.0.2.7"), 4711);

    [Fact]
    public void Drain_BeginningAndEnd_AreOneLineEach()
    {
        var sut = new TestDrain(options => options.AnnounceDelay = TimeSpan.FromSeconds(2));
        var busy = sut.Accept("busy");
        busy.Busy = true;
        busy.DiscardedBytes = 11;
        var idle = sut.Accept("idle");
        var reset = sut.Accept("reset");
        reset.UnacknowledgedBytes = 22;
        _ = sut.AnnounceStopAsync();
        sut.AdvanceSeconds(2);
        sut.Coordinator.BeginDraining(CloseReason.HostStopping);
        sut.AdvanceSeconds(0.25);
        reset.End(CloseOutcome.PeerReset);
        idle.End();
        busy.End();

        Assert.Equal(
            [
                (LogLevel.Information, "The drain was announced with 3 connections and begins in 2 s. Until then the server accepts and serves as before."),
                (LogLevel.Information, "Draining 3 connections (2 Idle, 1 Busy; HostStopping). What is left after 20 s will be aborted."),
                (LogLevel.Warning, "Drained 3 connections in 0.250 s (2 Graceful, 1 PeerReset): 22 bytes unacknowledged, 0 messages unanswered, 11 bytes discarded."),
            ],
            sut.Logger.Entries.Select(entry => (entry.Level, entry.Message)));
    }

    [Fact]
    public void Drain_EveryReportInterval_NamesStatesAndTheOldestHolders()
    {
        var sut = new TestDrain(options => options.ReportInterval = TimeSpan.FromSeconds(5));
        for (var i = 0; i < 5; i++)
        {
            var connection = sut.Add(new FakeTrackedConnection(sut.Coordinator, sut.Time, $"{i}") { RemoteEndPoint = Peer });
            connection.Busy = i == 0;
            connection.BusyTime = TimeSpan.FromSeconds(1.5);
            connection.IdleTime = TimeSpan.FromSeconds(2.25);
            connection.CurrentState = i == 1 ? CloseState.Lingering : CloseState.Open;
            sut.AdvanceSeconds(1);
        }

        _ = sut.StopHost();
        Assert.DoesNotContain("DrainProgress", sut.Logger.Events);
        sut.AdvanceSeconds(4.999);
        Assert.DoesNotContain("DrainProgress", sut.Logger.Events);
        sut.AdvanceSeconds(0.001);

        var entry = Assert.Single(sut.Logger.Entries, entry => entry.Id.Name == "DrainProgress");
        Assert.Equal(LogLevel.Information, entry.Level);
        Assert.Equal(
            "Draining: 5 connections left after 5.0 s (4 Open, 1 Lingering). Oldest: 0 (192.0.2.7:4711, age 10.0 s): busy for 1.5 s; " +
            "1 (192.0.2.7:4711, age 9.0 s): silent peer for 2.3 s, no FIN from it; 2 (192.0.2.7:4711, age 8.0 s): idle for 2.3 s, its handler has not returned; and 2 more. In 15.0 s they will be aborted; SIGINT ends them now.",
            entry.Message);
        sut.AdvanceSeconds(5);
        Assert.Equal(2, sut.Logger.Events.Count(name => name == "DrainProgress"));
    }

    [Fact]
    public void Drain_NoReportInterval_ReportsNothingInBetween()
    {
        var sut = new TestDrain(options => options.ReportInterval = Timeout.InfiniteTimeSpan);
        sut.Accept();
        _ = sut.StopHost();

        for (var i = 0; i < 20; i++)
        {
            sut.AdvanceSeconds(1);
        }

        Assert.Equal(["DrainAnnounced", "DrainStarted", "DrainAborted", "DrainEnded"], sut.Logger.Events);
    }

    [Fact]
    public void Drain_ReportIntervalNearTheGreatestTime_ReportsNothingInBetween()
    {
        var sut = new TestDrain(options => options.ReportInterval = TimeSpan.MaxValue);
        sut.Accept();
        _ = sut.StopHost();

        sut.AdvanceSeconds(20);

        Assert.DoesNotContain("DrainProgress", sut.Logger.Events);
        Assert.Equal(DrainPhase.Drained, sut.Phase);
    }

    [Fact]
    public void Drain_Aborts_WarnsWithTheBytesThatWereLost()
    {
        var sut = new TestDrain(options => options.ReportInterval = Timeout.InfiniteTimeSpan);
        var connection = sut.Add(new FakeTrackedConnection(sut.Coordinator, sut.Time, "slow") { RemoteEndPoint = Peer });
        connection.CurrentState = CloseState.Flushing;
        connection.UnacknowledgedBytes = 1500;
        connection.IsPeerWindowClosed = true;
        _ = sut.StopHost();

        sut.AdvanceSeconds(20);

        Assert.Equal(
            [
                "The drain aborted 1 connection, not done after 20.0 s, with 0 messages unanswered. Oldest: slow (192.0.2.7:4711, age 20.0 s): 1500 bytes unacknowledged, the peer's window is zero. A longer DrainTimeout lets them finish.",
                "Drained 1 connection in 20.000 s (1 Aborted): 1500 bytes unacknowledged, 0 messages unanswered, 0 bytes discarded.",
            ],
            sut.Logger.Entries.Where(entry => entry.Level == LogLevel.Warning).Select(entry => entry.Message));
    }

    [Fact]
    public void Drain_AbortsNothing_WarnsOfNothing()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        _ = sut.StopHost();

        connection.End();

        Assert.DoesNotContain(sut.Logger.Entries, entry => entry.Level >= LogLevel.Warning);
    }

    [Fact]
    public void Drain_OneOfEach_IsCountedInTheSingular()
    {
        var sut = new TestDrain(options => options.ReportInterval = Timeout.InfiniteTimeSpan);
        var connection = sut.Accept("one");
        connection.Busy = true;
        connection.BusyTime = TimeSpan.FromSeconds(20);
        (connection.UnacknowledgedBytes, connection.DiscardedBytes) = (1, 1);
        _ = sut.StopHost();

        sut.AdvanceSeconds(20);

        Assert.Equal(
            [
                "The drain aborted 1 connection, not done after 20.0 s, with 1 message unanswered. Oldest: one (no address, age 20.0 s): busy for 20.0 s. A longer DrainTimeout lets them finish.",
                "Drained 1 connection in 20.000 s (1 Aborted): 1 byte unacknowledged, 1 message unanswered, 1 byte discarded.",
            ],
            sut.Logger.Entries.Where(entry => entry.Level == LogLevel.Warning).Select(entry => entry.Message));
    }

    [Fact]
    public void Drain_ToldToEndAtOnce_SaysSoAndNotThatTheTimeWasUp()
    {
        var sut = new TestDrain();
        sut.Accept();
        _ = sut.StopHost();

        sut.Coordinator.AbortNow();

        Assert.Contains(", told to end at once, ", Assert.Single(sut.Logger.Entries, entry => entry.Id.Name == "DrainAborted").Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Drain_AbortedOneDoesNotTellWhatIsMissing_IsNotReportedAsNothing()
    {
        var sut = new TestDrain();
        sut.Accept();
        _ = sut.StopHost();

        sut.AdvanceSeconds(20);

        var entry = Assert.Single(sut.Logger.Entries, entry => entry.Id.Name == "DrainEnded");
        Assert.Equal(
            (LogLevel.Warning, "Drained 1 connection in 20.000 s (1 Aborted): 0 bytes unacknowledged (1 connection unknown), 0 messages unanswered, 0 bytes discarded."),
            (entry.Level, entry.Message));
    }

    // The line of the abort and that of the end are of one connection.
    [Fact]
    public async Task Drain_AbortThatFoundNoThreadYet_IsReportedWithTheBytesOfTheAbort()
    {
        var sut = new TestDrain();
        sut.Add(new FakeTrackedConnection(sut.Coordinator, sut.Time, "starved") { IsStarved = true, UnacknowledgedBytes = 19_872_000, CurrentState = CloseState.Flushing });
        var draining = sut.Coordinator.DrainAsync(_ => true);

        sut.AdvanceSeconds(20);
        sut.AdvanceSeconds(0.5);

        Assert.Equal(19_872_000, (await draining.WithinLimit()).UnacknowledgedBytes);
        Assert.Contains(sut.Logger.Entries, entry => entry.Id.Name == "DrainAborted" && entry.Message.Contains("19872000 bytes unacknowledged", StringComparison.Ordinal));
        Assert.Contains(sut.Logger.Entries, entry => entry is { Id.Name: "DrainEnded", Level: LogLevel.Warning } && entry.Message.Contains("19872000 bytes unacknowledged,", StringComparison.Ordinal));
    }

    [Fact]
    public void Drain_EndsAtTheTimeOfAReport_SaysNothingAfterTheEnd()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        connection.Snapped = () => connection.End(); // Whoever describes it for the report is a moment too late.
        _ = sut.StopHost();

        sut.AdvanceSeconds(1);
        sut.AdvanceSeconds(5);

        Assert.Equal("DrainEnded", sut.Logger.Events.Last());
    }

    [Fact]
    public async Task Report_AsText_IsOneLineForAPerson()
    {
        var sut = new TestDrain();
        var lost = sut.Accept("lost");
        lost.UnacknowledgedBytes = 1;
        var idle = sut.Accept("idle");
        idle.UnacknowledgedBytes = 0;
        var draining = sut.Coordinator.DrainAsync(_ => true);
        sut.AdvanceSeconds(1.5);
        lost.End(CloseOutcome.PeerReset);
        idle.End();

        Assert.Equal("2 connections in 1.5 s (1 Graceful, 1 PeerReset): 1 byte unacknowledged, 0 messages unanswered", $"{await draining.WithinLimit()}");
        Assert.Equal("0 connections in 0.0 s: 0 bytes unacknowledged, 0 messages unanswered", $"{await sut.Coordinator.DrainAsync(_ => true).WithinLimit()}");
    }

    // A thread that aborts thousands takes longer than the grace, and another one must not give up in the midst of it.
    [Fact]
    public async Task Drain_AbortsTakeLongerThanTheGrace_LeavesNoHandlerBehind()
    {
        var sut = new TestDrain();
        var connections = Enumerable.Range(0, 3).Select(i => sut.Accept($"{i}")).ToArray();
        connections[0].Aborting = () => sut.AdvanceSeconds(1);
        var ended = sut.StopHost();

        sut.AdvanceSeconds(20);

        await ended.WithinLimit();
        Assert.All(connections, connection => Assert.Equal((1, 0), (connection.AbortCount, connection.AbandonCount)));
        Assert.DoesNotContain("HandlerAbandoned", sut.Logger.Events);
        Assert.Equal(3, (await sut.Coordinator.DrainAsync().WithinLimit()).Aborted.Count);
    }
}
