using GracefulConnections.Draining;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Draining;

/// <summary>A drain that is awaited inside of a handler that it drains, and what is done to one connection.</summary>
public class CallerTests
{
    private readonly TestDrain _sut = new();

    [Fact]
    public async Task DrainAsync_InsideAHandler_DoesNotWaitForItsConnectionButAsksIt()
    {
        var own = _sut.Accept("own");
        var other = _sut.Accept("other");

        var draining = CallAs(own, () => _sut.Coordinator.DrainAsync());
        await other.Asked.WithinLimit();
        other.End();

        Assert.Equal(1, (await draining.WithinLimit()).ConnectionCount);
        await own.Asked.WithinLimit();
        Assert.Equal("own", Assert.Single(_sut.Logger.Entries, entry => entry.Id.Name == "DrainAwaitedInside").Values["ConnectionId"]);
        var ended = _sut.StopHost();
        Assert.False(ended.IsCompleted); // The host waits for it.
        own.End();
        await ended.WithinLimit();
    }

    [Fact]
    public async Task DrainAsync_InsideAHandlerThatTheDrainWaitsForAlready_WaitsForTheOthersOnly()
    {
        var own = _sut.Accept("own");
        var other = _sut.Accept("other");
        var draining = _sut.Coordinator.DrainAsync();
        await other.Asked.WithinLimit();

        var inside = CallAs(own, () => _sut.Coordinator.DrainAsync());
        Assert.False(inside.IsCompleted);
        other.End();

        Assert.Equal(1, (await inside.WithinLimit()).ConnectionCount);
        Assert.False(own.HasEnded || draining.IsCompleted); // Everybody else waits for it too.
        own.End();
        Assert.Equal(2, (await draining.WithinLimit()).ConnectionCount);
    }

    [Fact]
    public async Task DrainAsync_InsideTwoHandlersOfTwoDrains_EachWaitsForTheOther()
    {
        FakeTrackedConnection[] callers = [_sut.Accept("a"), _sut.Accept("b")];

        var draining = callers.Select(caller => CallAs(caller, () => _sut.Coordinator.DrainAsync(_ => true))).ToArray();

        Assert.All(draining, inside => Assert.False(inside.IsCompleted)); // Two drains, and each has the other's caller.
        callers[0].End();
        Assert.Equal(1, (await draining[1].WithinLimit()).ConnectionCount);
        callers[1].End();
        Assert.Equal(2, (await draining[0].WithinLimit()).ConnectionCount);
    }

    [Fact]
    public async Task DrainAsync_InsideTwoHandlersOfOneDrain_NoneWaitsForTheOther()
    {
        FakeTrackedConnection[] callers = [_sut.Accept("a"), _sut.Accept("b")];

        foreach (var caller in callers)
        {
            _ = CallAs(caller, () => _sut.Coordinator.DrainAsync());
        }

        var inside = CallAs(callers[0], () => _sut.Coordinator.DrainAsync());

        Assert.Equal(0, (await inside.WithinLimit()).ConnectionCount);
        Assert.False(callers[0].HasEnded || callers[1].HasEnded);
    }

    [Fact]
    public async Task DrainAsync_InsideAHandlerThatIsAbortedMeanwhile_GetsTheReportOfAll()
    {
        var own = _sut.Accept("own");
        _sut.AcceptIgnorant("other");

        var inside = CallAs(own, () => _sut.Coordinator.DrainAsync(_ => true));
        _sut.AdvanceSeconds(20);
        Assert.True(own.IsAborted);
        _sut.AdvanceSeconds(0.5);

        Assert.Equal(2, (await inside.WithinLimit()).ConnectionCount);
    }

    [Fact]
    public async Task DrainAsync_PartWithTheCallersConnection_LeavesItOutAndAsksIt()
    {
        var own = _sut.Accept("own");
        var other = _sut.Accept("other");

        var draining = CallAs(own, () => _sut.Coordinator.DrainAsync(_ => true));
        other.End();

        Assert.Equal(1, (await draining.WithinLimit()).ConnectionCount);
        Assert.True(own.IsAsked);
        _sut.AdvanceSeconds(20);
        Assert.True(own.IsAborted);
    }

    [Fact]
    public async Task DrainAsync_OptionsOfItsOwn_HaveItsTimesAndDescription()
    {
        var connection = _sut.Accept();
        var options = new DrainOptions { Timeout = TimeSpan.FromSeconds(3), SpreadWindow = TimeSpan.FromSeconds(2), Description = "rebalance\n" };

        var draining = _sut.Coordinator.DrainAsync(_ => true, options);

        Assert.Contains(_sut.Logger.Entries, entry => entry.Message == @"Draining 1 connection (1 Idle; Drain: rebalance\u000A). What is left after 3 s will be aborted.");
        _sut.AdvanceSeconds(0.749);
        Assert.False(connection.IsAsked);
        _sut.AdvanceSeconds(0.011); // In the middle of the spread, which is half of the timeout at most.
        Assert.True(connection.IsAsked);
        _sut.AdvanceSeconds(2.24);
        Assert.Equal(1, (await draining.WithinLimit()).Outcomes[CloseOutcome.Aborted]);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-0.001)]
    [InlineData(86_401)]
    public void DrainOptions_BadTimeout_Throws(double seconds) =>
        Assert.Throws<ArgumentOutOfRangeException>("value", () => new DrainOptions { Timeout = TimeSpan.FromSeconds(seconds) });

    [Fact]
    public void DrainOptions_NegativeWindow_Throws() =>
        Assert.Throws<ArgumentOutOfRangeException>("value", () => new DrainOptions { SpreadWindow = TimeSpan.FromTicks(-1) });

    [Fact]
    public void Abort_Id_AbortsThatOneOnly()
    {
        var a = _sut.Accept("a");
        var b = _sut.Accept("b");

        Assert.True(_sut.Coordinator.Abort("b"));

        Assert.Equal((0, 1, CloseReason.Application), (a.AbortCount, b.AbortCount, b.AbortReason));
        Assert.False(_sut.Coordinator.Abort("b"));
        Assert.False(_sut.Coordinator.Abort("unknown"));
        Assert.Throws<ArgumentNullException>("connectionId", () => _sut.Coordinator.Abort(null!));
    }

    [Fact]
    public void Spread_WhatIsUnknown_IsAskedBetweenIdleAndBusy()
    {
        var sut = new TestDrain(options => options.SpreadWindow = TimeSpan.FromSeconds(3));
        var busy = sut.Accept("busy");
        busy.Busy = true;
        var unknown = sut.Add(new FakeTrackedConnection(sut.Coordinator, sut.Time, "unknown") { IsUnseen = true });
        var idle = sut.Accept("idle");

        _ = sut.StopHost();

        sut.AdvanceSeconds(0.5);
        Assert.Equal((true, false, false), (idle.IsAsked, unknown.IsAsked, busy.IsAsked));
        sut.AdvanceSeconds(1);
        Assert.Equal((true, false), (unknown.IsAsked, busy.IsAsked));
    }

    private static Task<T> CallAs<T>(TrackedConnection connection, Func<Task<T>> call)
    {
        TrackedConnection.Caller.Value = connection;
        var task = call();
        TrackedConnection.Caller.Value = null;
        return task;
    }
}
