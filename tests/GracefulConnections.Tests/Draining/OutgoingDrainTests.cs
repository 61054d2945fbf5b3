using GracefulConnections.Draining;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Draining;

/// <summary>When a drain asks the connections that the server made.</summary>
public class OutgoingDrainTests
{
    private readonly TestDrain _sut = new();

    [Fact]
    public async Task Drain_AcceptedIsLeft_AsksTheOutgoingWhenItHasEnded()
    {
        var outgoing = Make();
        var accepted = _sut.Accept("accepted");

        var draining = _sut.DrainLive();
        Assert.True(accepted.IsAsked);
        _sut.AdvanceSeconds(1);
        Assert.False(outgoing.IsAsked);
        accepted.End();
        Tick();
        Assert.Equal((true, CloseReason.Drain), (outgoing.IsAsked, outgoing.AskReason));
        Assert.False(draining.IsCompleted);
        outgoing.End();

        Assert.Equal(2, (await draining.WithinLimit()).ConnectionCount);
        Assert.Equal((1, 0), (outgoing.AskCount, outgoing.AbortCount));
    }

    [Fact]
    public void Drain_OnlyOutgoing_AsksAtOnce()
    {
        var outgoing = Make();

        _ = _sut.DrainLive();

        Assert.True(outgoing.IsAsked);
    }

    [Fact]
    public void Drain_AcceptedHasEndedBefore_AsksInTurn()
    {
        _sut.Options.SpreadWindow = TimeSpan.FromSeconds(4);
        FakeTrackedConnection[] outgoing = [Make("1"), Make("2")];
        _sut.Add(new FakeTrackedConnection(_sut.Coordinator, _sut.Time, "accepted") { EndsWhenAsked = true });

        _ = _sut.DrainLive();
        _sut.AdvanceSeconds(4);
        Tick();

        Assert.All(outgoing, connection => Assert.Equal(1, connection.AskCount));
    }

    // A handler that is finishing a request may still have to connect.
    [Fact]
    public void Drain_OutgoingComesLate_IsAskedWhenTheAcceptedHaveEnded()
    {
        var accepted = _sut.Accept("accepted");
        _ = _sut.DrainLive();

        var outgoing = Make();
        Tick();
        Assert.False(outgoing.IsAsked);
        accepted.End();
        Tick();

        Assert.True(outgoing.IsAsked);
    }

    [Fact]
    public async Task Drain_AcceptedIsLeftAtTheDeadline_AbortsBoth()
    {
        var outgoing = Make();
        var accepted = _sut.Accept("accepted");
        _ = _sut.DrainLive();

        _sut.Advance(_sut.Options.DrainTimeout);

        await Task.WhenAll(accepted.Aborted, outgoing.Aborted).WithinLimit(); // The thread that began the drain may do it.
        Assert.False(outgoing.IsAsked);
    }

    [Fact]
    public async Task DrainPart_OfOutgoingOnly_DoesNotWaitForTheOthers()
    {
        var outgoing = Make();
        var accepted = _sut.Accept("accepted");

        var draining = _sut.Coordinator.DrainAsync(static connection => connection.IsOutgoing, null, CancellationToken.None);

        Assert.Equal((true, false), (outgoing.IsAsked, accepted.IsAsked));
        outgoing.End();
        Assert.Equal(1, (await draining.WithinLimit()).ConnectionCount);
    }

    // Its handler goes on when the drain has ended, so the drain must not wait for it.
    [Fact]
    public async Task Drain_AcceptedOneAwaitsTheDrain_AsksTheOutgoingWithoutItsEnd()
    {
        var outgoing = Make();
        var caller = _sut.Accept("caller");
        Task<DrainReport>? draining = null;
        await Task.Run(
            () =>
            {
                TrackedConnection.Caller.Value = caller;
                draining = _sut.Coordinator.DrainAsync(static _ => true, null, CancellationToken.None);
            },
            CancellationToken.None);

        Tick();
        Assert.True(outgoing.IsAsked);
        outgoing.End();

        Assert.Equal(1, (await draining!.WithinLimit()).ConnectionCount);
    }

    // A proxy may have thousands of them, and as many that are accepted while it drains.
    [Fact]
    public void Drain_OthersComeWhileTheOutgoingWait_LooksAtNoneOfThoseThatWait()
    {
        _ = _sut.Accept("busy");
        var outgoing = Make();
        _ = _sut.DrainLive();
        var before = outgoing.LookupCount;

        for (var i = 0; i < 100; i++)
        {
            _sut.Accept($"{i}").End();
        }

        Assert.Equal(before, outgoing.LookupCount);
    }

    // Each of them looks whether the others are left.
    [Fact]
    public async Task Drain_ManyHandlersAwaitIt_AsksTheOutgoingOnlyWhenAllOthersHaveEnded()
    {
        var outgoing = Make();
        FakeTrackedConnection[] callers = [_sut.Accept("1"), _sut.Accept("2")];
        var other = _sut.Accept("other");
        var draining = _sut.DrainLive();
        foreach (var caller in callers)
        {
            await Task.Run(
                () =>
                {
                    TrackedConnection.Caller.Value = caller;
                    _ = _sut.Coordinator.DrainAsync();
                    _ = _sut.Coordinator.DrainAsync(); // Twice is as once.
                },
                CancellationToken.None);
        }

        await TestLimit.UntilAsync(() => _sut.Logger.Events.Count(name => name == "DrainAwaitedInside") == 4);
        callers[0].End();
        Tick();
        Assert.False(outgoing.IsAsked);
        other.End();
        await _sut.Time.UntilAsync(() => outgoing.IsAsked); // The other caller may be about to say that it waits.
        outgoing.End();
        callers[1].End();

        Assert.Equal(4, (await draining.WithinLimit()).ConnectionCount);
    }

    private FakeTrackedConnection Make(string id = "outgoing") =>
        _sut.Add(new FakeTrackedConnection(_sut.Coordinator, _sut.Time, id) { IsOutgoing = true });

    // What one connection's end makes due is done by the timer.
    private void Tick() => _sut.Advance(TimeSpan.FromMilliseconds(1));
}
