using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Draining;

public class DrainReportTests
{
    [Fact]
    public async Task Report_EveryOutcome_IsCounted()
    {
        var sut = new TestDrain();
        var outcomes = Enum.GetValues<CloseOutcome>().Except([CloseOutcome.None]).ToArray();
        var i = 0;
        FakeTrackedConnection[] connections = [.. outcomes.SelectMany(outcome => Enumerable.Repeat(outcome, (int)outcome)).Select(outcome => sut.Accept($"{outcome}"))];
        var draining = sut.Coordinator.DrainAsync(_ => true);

        foreach (var connection in connections)
        {
            connection.DiscardedBytes = 10;
            connection.UnacknowledgedBytes = i++ % 2 == 0 ? 3 : null; // Not always to be known.
            connection.End(Enum.Parse<CloseOutcome>(connection.Id));
        }

        var report = await draining.WithinLimit();
        Assert.Equal(connections.Length, report.ConnectionCount);
        Assert.Equal(outcomes.ToDictionary(outcome => outcome, outcome => (int)outcome), report.Outcomes);
        Assert.Equal(1 + 2, report.DeliveredCount); // Graceful and Acknowledged.
        Assert.Equal(10 * connections.Length, report.DiscardedBytes);
        Assert.Equal(3 * ((connections.Length + 1) / 2), report.UnacknowledgedBytes);
        Assert.Equal(0, report.UnendedHandlerCount);
        Assert.Empty(report.Aborted); // What somebody else aborted.
    }

    [Fact]
    public async Task Report_Duration_IsFromTheFirstRequestToTheEnd()
    {
        var sut = new TestDrain(options => options.AnnounceDelay = TimeSpan.FromSeconds(7));
        var connection = sut.Accept();
        _ = sut.AnnounceStopAsync();
        sut.AdvanceSeconds(7);
        sut.Coordinator.BeginDraining(CloseReason.HostStopping);
        sut.AdvanceSeconds(3);

        connection.End();

        Assert.Equal(TimeSpan.FromSeconds(3), (await sut.Coordinator.DrainAsync().WithinLimit()).Duration);
    }

    [Fact]
    public async Task Report_Aborted_IsOldestFirstAndAsItWasRightBefore()
    {
        var sut = new TestDrain();
        foreach (var id in new[] { "oldest", "middle", "youngest" })
        {
            var connection = sut.Accept(id);
            connection.Busy = id == "middle";
            connection.UnacknowledgedBytes = 5;
            sut.AdvanceSeconds(1);
        }

        sut.Accept("quick").End();
        var draining = sut.Coordinator.DrainAsync(_ => true);
        sut.AdvanceSeconds(20);

        var report = await draining.WithinLimit();
        Assert.Equal(["oldest", "middle", "youngest"], report.Aborted.Select(info => info.ConnectionId));
        Assert.All(report.Aborted, info => Assert.Equal((CloseState.Open, true, 5), (info.State, info.IsCloseRequested, info.UnacknowledgedBytes)));
        Assert.Equal([false, true, false], report.Aborted.Select(info => info.Activity == ConnectionActivity.Busy));
        Assert.Equal(TimeSpan.FromSeconds(23), report.Aborted[0].Age);
        Assert.Equal((3, 15), (report.Outcomes[CloseOutcome.Aborted], report.UnacknowledgedBytes));
    }

    [Fact]
    public async Task Report_EndedBetweenTheDeadlineAndTheAbort_IsNotAborted()
    {
        var sut = new TestDrain();
        var slow = sut.Accept("slow"); // Its turn comes first.
        var quick = sut.Accept("quick");
        var draining = sut.Coordinator.DrainAsync(_ => true);
        slow.Snapped = () => quick.End();

        sut.AdvanceSeconds(20);

        var report = await draining.WithinLimit();
        Assert.Equal(["slow"], report.Aborted.Select(info => info.ConnectionId));
        Assert.Equal((1, 1), (report.Outcomes[CloseOutcome.Graceful], report.Outcomes[CloseOutcome.Aborted]));
    }

    [Fact]
    public async Task Report_EndedGracefullyAfterTheSnapshot_IsNotAborted()
    {
        var sut = new TestDrain();
        var quick = sut.Accept("quick");
        var slow = sut.Accept("slow");
        slow.Aborting = () => quick.End();
        quick.Aborting = () => quick.End();
        var draining = sut.Coordinator.DrainAsync(_ => true);

        sut.AdvanceSeconds(20);

        var report = await draining.WithinLimit();
        Assert.Equal(["slow"], report.Aborted.Select(info => info.ConnectionId));
        Assert.Equal(1, report.Outcomes[CloseOutcome.Graceful]);
    }

    [Fact]
    public async Task Report_UnendedHandlers_AreCountedAmongTheOutcomes()
    {
        var sut = new TestDrain();
        var ignorant = sut.AcceptIgnorant("ignorant");
        ignorant.UnacknowledgedBytes = 9;
        sut.Accept("obedient");
        var draining = sut.Coordinator.DrainAsync(_ => true);
        sut.AdvanceSeconds(20);
        Assert.False(draining.IsCompleted);
        sut.AdvanceSeconds(0.5);

        var report = await draining.WithinLimit();
        Assert.Equal((2, 2, 1, 9), (report.ConnectionCount, report.Outcomes[CloseOutcome.Aborted], report.UnendedHandlerCount, report.UnacknowledgedBytes));
        Assert.Equal(TimeSpan.FromSeconds(20.5), report.Duration);
        ignorant.End(); // Too late to be counted again.
        Assert.Equal(2, report.Outcomes.Values.Sum());
    }

    [Fact]
    public async Task Report_AbortThatFoundNoThreadYet_IsCountedAmongTheOutcomes()
    {
        var sut = new TestDrain();
        sut.Add(new FakeTrackedConnection(sut.Coordinator, sut.Time, "starved") { IsStarved = true });
        var draining = sut.Coordinator.DrainAsync(_ => true);
        sut.AdvanceSeconds(20);
        sut.AdvanceSeconds(0.5);

        var report = await draining.WithinLimit();

        Assert.Equal((1, 1, 1), (report.ConnectionCount, report.Outcomes[CloseOutcome.Aborted], report.UnendedHandlerCount));
        Assert.Equal(["starved"], report.Aborted.Select(info => info.ConnectionId));
    }
}
