using System.Net;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Draining;

/// <summary>The drain of a part: <c>DrainAsync(filter)</c>.</summary>
public class PartialDrainTests
{
    [Fact]
    public async Task DrainAsync_ById_AsksThatOneOnly()
    {
        var sut = new TestDrain();
        var a = sut.Accept("a");
        var b = sut.Accept("b");

        var draining = sut.Coordinator.DrainAsync(info => info.ConnectionId == "b");

        Assert.Equal((0, 1), (a.AskCount, b.AskCount));
        Assert.Equal(CloseReason.Drain, b.AskReason);
        Assert.False(draining.IsCompleted);
        b.End();
        Assert.Equal(1, (await draining.WithinLimit()).ConnectionCount);
        Assert.False(a.IsAsked);
    }

    [Fact]
    public async Task DrainAsync_ByLocalEndPoint_AsksThoseOnly()
    {
        var sut = new TestDrain();
        var closing = new IPEndPoint(IPAddress.Loopback, 5001);
        var staying = new IPEndPoint(IPAddress.Loopback, 5002);
        FakeTrackedConnection[] connections =
            [.. Enumerable.Range(0, 6).Select(i => sut.Add(new FakeTrackedConnection(sut.Coordinator, sut.Time, $"{i}") { LocalEndPoint = i % 2 == 0 ? closing : staying, EndsWhenAsked = true }))];

        var report = await sut.Coordinator.DrainAsync(info => closing.Equals(info.LocalEndPoint)).WithinLimit();

        Assert.Equal(3, report.ConnectionCount);
        Assert.All(connections, connection => Assert.Equal(closing.Equals(connection.LocalEndPoint), connection.IsAsked));
        Assert.Equal(3, sut.Coordinator.ConnectionCount);
    }

    [Fact]
    public async Task DrainAsync_ByAge_AsksTheOlderOnes()
    {
        var sut = new TestDrain();
        var old = sut.Accept("old");
        sut.AdvanceSeconds(3600);
        var young = sut.Accept("young");
        sut.AdvanceSeconds(1);

        var draining = sut.Coordinator.DrainAsync(info => info.Age > TimeSpan.FromHours(1));
        old.End();

        Assert.Equal(1, (await draining.WithinLimit()).ConnectionCount);
        Assert.False(young.IsAsked);
    }

    [Fact]
    public async Task DrainAsync_FilterThatFitsNothing_ReportsAtOnce()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();

        var report = await sut.Coordinator.DrainAsync(_ => false).WithinLimit();

        Assert.Equal(0, report.ConnectionCount);
        Assert.Empty(report.Outcomes);
        Assert.Empty(report.Aborted);
        Assert.False(connection.IsAsked);
    }

    [Fact]
    public async Task DrainAsync_Part_ServesOnAndAnnouncesNothing()
    {
        var sut = new TestDrain();
        sut.Accept("a");

        var draining = sut.Coordinator.DrainAsync(info => info.ConnectionId == "a");
        var late = sut.Accept("a");

        Assert.Equal(DrainPhase.Serving, sut.Phase);
        Assert.False(sut.Coordinator.DrainAnnounced.IsCancellationRequested);
        Assert.False(late.IsAsked); // It came later.
        sut.AdvanceSeconds(20);
        Assert.Equal(1, (await draining.WithinLimit()).ConnectionCount);
        Assert.Equal(DrainPhase.Serving, sut.Phase);
    }

    [Fact]
    public async Task DrainAsync_FilterThrows_ComesOutOfTheTaskAndNothingWasAsked()
    {
        var sut = new TestDrain();
        var a = sut.Accept("a");
        var b = sut.Accept("b");
        var seen = 0;

        var draining = sut.Coordinator.DrainAsync(_ => ++seen == 2 ? throw new InvalidTimeZoneException() : true);

        await Assert.ThrowsAsync<InvalidTimeZoneException>(() => draining.WithinLimit());
        Assert.False(a.IsAsked || b.IsAsked);
        Assert.Equal((DrainPhase.Serving, 2), (sut.Phase, sut.Coordinator.ConnectionCount));
        Assert.Empty(sut.Logger.Entries);
    }

    [Fact]
    public async Task DrainAsync_AfterAFilterThatThrew_Works()
    {
        var sut = new TestDrain();
        var a = sut.Accept("a");
        var b = sut.Accept("b");
        await Assert.ThrowsAsync<InvalidTimeZoneException>(() => sut.Coordinator.DrainAsync(_ => throw new InvalidTimeZoneException()).WithinLimit());

        var part = sut.Coordinator.DrainAsync(info => info.ConnectionId == "a");
        a.End();
        Assert.Equal(1, (await part.WithinLimit()).ConnectionCount);
        var whole = sut.Coordinator.DrainAsync();
        await b.Asked.WithinLimit();
        b.End();
        Assert.Equal(1, (await whole.WithinLimit()).ConnectionCount);
    }

    [Fact]
    public async Task DrainAsync_NullFilter_ThrowsArgumentNullException() =>
        await Assert.ThrowsAsync<ArgumentNullException>("filter", () => new TestDrain().Coordinator.DrainAsync(null!).WithinLimit());

    [Fact]
    public async Task DrainAsync_Cancelled_EndsTheWaitOnly()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        using var cancellation = new CancellationTokenSource();
        var draining = sut.Coordinator.DrainAsync(_ => true, cancellationToken: cancellation.Token);

        await cancellation.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => draining.WithinLimit());
        sut.AdvanceSeconds(20);
        Assert.True(connection.IsAborted);
    }

    [Fact]
    public async Task DrainAsync_ChosenOneEndsBeforeTheDrainBegins_IsNotCounted()
    {
        var sut = new TestDrain();
        var a = sut.Accept("a");
        var b = sut.Accept("b");

        var draining = sut.Coordinator.DrainAsync(info =>
        {
            a.End();
            return true;
        });
        b.End();

        Assert.Equal(1, (await draining.WithinLimit()).ConnectionCount);
        Assert.False(a.IsAsked);
    }

    [Fact]
    public async Task DrainAsync_DeadlinePassed_AbortsThatPartOnly()
    {
        var sut = new TestDrain();
        var chosen = sut.Accept("chosen");
        var other = sut.Accept("other");
        var draining = sut.Coordinator.DrainAsync(info => info.ConnectionId == "chosen");

        sut.AdvanceSeconds(20);

        Assert.Equal(["chosen"], (await draining.WithinLimit()).Aborted.Select(info => info.ConnectionId));
        Assert.Equal(CloseReason.Drain, chosen.AbortReason);
        Assert.False(other.IsAborted);
    }

    [Fact]
    public async Task DrainAsync_TwoPartsThatOverlap_EachCountsEachOnce()
    {
        var sut = new TestDrain();
        FakeTrackedConnection[] connections = [.. "abc".Select(id => sut.Accept($"{id}"))];

        var ab = sut.Coordinator.DrainAsync(info => info.ConnectionId is "a" or "b");
        var bc = sut.Coordinator.DrainAsync(info => info.ConnectionId is "b" or "c");
        Array.ForEach(connections, connection => connection.End());

        Assert.Equal((2, 2), ((await ab.WithinLimit()).ConnectionCount, (await bc.WithinLimit()).ConnectionCount));
        Assert.Equal((2, 2), ((await ab).DeliveredCount, (await bc).DeliveredCount));
    }

    [Fact]
    public async Task DrainAsync_PartAndThenTheWhole_EachCountsEachOnce()
    {
        var sut = new TestDrain();
        var a = sut.Accept("a");
        var b = sut.Accept("b");
        a.DiscardedBytes = 7;

        var part = sut.Coordinator.DrainAsync(info => info.ConnectionId == "a");
        var whole = sut.StopHost();
        a.End();
        var partReport = await part.WithinLimit();
        Assert.False(whole.IsCompleted);
        b.End();
        await whole.WithinLimit();
        var wholeReport = await sut.Coordinator.DrainAsync().WithinLimit();

        Assert.Equal((1, 1, 7), (partReport.ConnectionCount, partReport.DeliveredCount, partReport.DiscardedBytes));
        Assert.Equal((2, 2, 7), (wholeReport.ConnectionCount, wholeReport.DeliveredCount, wholeReport.DiscardedBytes));
        Assert.Equal(CloseReason.Drain, a.AskReason);
    }

    [Fact]
    public async Task DrainAsync_PartAbortsWhatTheWholeStillWaitsFor_TheWholeEndsToo()
    {
        var sut = new TestDrain();
        sut.Accept("a");
        var part = sut.Coordinator.DrainAsync(_ => true);
        sut.AdvanceSeconds(10);
        var whole = sut.StopHost();

        sut.AdvanceSeconds(10); // The part's deadline.

        Assert.Single((await part.WithinLimit()).Aborted);
        await whole.WithinLimit();
        var report = await sut.Coordinator.DrainAsync().WithinLimit();
        Assert.Equal((1, 1), (report.ConnectionCount, report.Outcomes[CloseOutcome.Aborted]));
        Assert.Empty(report.Aborted); // The whole drain did not abort it.
    }

    [Fact]
    public async Task DrainAsync_WholeServerDrained_DrainsAPartOfWhatCameLater()
    {
        var sut = new TestDrain();
        await sut.Coordinator.DrainAsync().WithinLimit();
        var late = sut.Accept("late");

        var draining = sut.Coordinator.DrainAsync(_ => true);
        late.End();

        Assert.Equal(1, (await draining.WithinLimit()).ConnectionCount);
    }
}
