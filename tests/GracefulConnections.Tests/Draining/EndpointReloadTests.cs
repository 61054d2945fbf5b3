using GracefulConnections.Draining;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Draining;

/// <summary>
/// The server itself asks connections to close: one endpoint or one of several servers stops while the host goes on, or
/// all do.
/// </summary>
public class EndpointReloadTests
{
    private static readonly TimeSpan Gathering = TimeSpan.FromMilliseconds(20);

    [Fact]
    public void OnServerRequest_Serving_GathersIntoOneDrain()
    {
        var sut = new TestDrain();
        sut.Coordinator.Context.OnReloaded();
        FakeTrackedConnection[] connections = [.. "abc".Select(id => sut.Accept($"{id}"))];
        var other = sut.Accept("other");

        Array.ForEach(connections, sut.Coordinator.OnServerRequest);
        Assert.All(connections, connection => Assert.False(connection.IsAsked));
        sut.Advance(Gathering);

        Assert.All(connections, connection => Assert.Equal((1, CloseReason.Drain), (connection.AskCount, connection.AskReason)));
        Assert.False(other.IsAsked);
        Assert.Equal(DrainPhase.Serving, sut.Phase);
        Assert.Equal(
            "Draining 3 connections (3 Idle; Drain). What is left after 4.5 s will be aborted.",
            Assert.Single(sut.Logger.Entries, entry => entry.Id.Name == "DrainStarted").Message);
        Array.ForEach(connections, connection => connection.End());
        Assert.Single(sut.Logger.Events, "DrainEnded");
        Assert.False(sut.Coordinator.DrainAnnounced.IsCancellationRequested);
    }

    [Fact]
    public void OnServerRequest_Twice_IsCountedOnce()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();

        sut.Coordinator.OnServerRequest(connection);
        sut.Coordinator.OnServerRequest(connection);
        sut.Advance(Gathering);
        connection.End();

        Assert.StartsWith("Drained 1 connection ", Assert.Single(sut.Logger.Entries, entry => entry.Id.Name == "DrainEnded").Message, StringComparison.Ordinal);
    }

    [Fact]
    public void OnServerRequest_DeadlinePassed_AbortsBeforeKestrelDoes()
    {
        var sut = new TestDrain();
        sut.Coordinator.Context.OnReloaded();
        var connection = sut.Accept();
        sut.Coordinator.OnServerRequest(connection);
        sut.Advance(Gathering);

        sut.Advance(Registry.ReloadTimeout - TimeSpan.FromMilliseconds(1));
        Assert.False(connection.IsAborted);
        sut.AdvanceSeconds(0.001);

        Assert.True(connection.IsAborted);
        Assert.True(Gathering + Registry.ReloadTimeout < TimeSpan.FromSeconds(5));
    }

    [Theory]
    [InlineData(null)]
    [InlineData(1.001)] // A reload that was long ago, in seconds.
    public void OnServerRequest_NoReload_HasTheTimeOfADrain(double? sinceReload)
    {
        var sut = new TestDrain();
        if (sinceReload is { } seconds)
        {
            sut.Coordinator.Context.OnReloaded();
            sut.AdvanceSeconds(seconds);
        }

        var connection = sut.Accept();
        sut.Coordinator.OnServerRequest(connection);
        sut.Advance(Gathering);

        sut.Advance(sut.Options.DrainTimeout - TimeSpan.FromMilliseconds(1));
        Assert.True(connection is { IsAsked: true, IsAborted: false });
        sut.AdvanceSeconds(0.001);

        Assert.True(connection.IsAborted);
    }

    [Fact]
    public void OnServerRequest_ShorterDrainTimeout_HasNoMoreTimeThanThat()
    {
        var sut = new TestDrain(options => options.DrainTimeout = TimeSpan.FromSeconds(2));
        sut.Coordinator.Context.OnReloaded();
        var connection = sut.Accept();
        sut.Coordinator.OnServerRequest(connection);
        sut.Advance(Gathering);

        sut.AdvanceSeconds(2);

        Assert.True(connection.IsAborted);
    }

    [Fact]
    public void OnServerRequest_LongSpreadWindow_SpreadsOverHalfTheTimeAtMost()
    {
        var sut = new TestDrain(options => options.SpreadWindow = TimeSpan.FromSeconds(15));
        sut.Coordinator.Context.OnReloaded();
        FakeTrackedConnection[] connections = [.. Enumerable.Range(0, 100).Select(i => sut.Accept($"{i}"))];
        Array.ForEach(connections, sut.Coordinator.OnServerRequest);
        sut.Advance(Gathering);

        sut.AdvanceSeconds(1);
        Assert.InRange(connections.Count(connection => connection.IsAsked), 40, 50);
        sut.AdvanceSeconds(1.25);

        Assert.All(connections, connection => Assert.True(connection.IsAsked));
        Assert.All(connections, connection => Assert.False(connection.IsAborted));
    }

    [Fact]
    public void OnServerRequest_AfterTheDrainBegan_BeginsAnother()
    {
        var sut = new TestDrain();
        var first = sut.Accept("first");
        var second = sut.Accept("second");
        sut.Coordinator.OnServerRequest(first);
        sut.Advance(Gathering);

        sut.Coordinator.OnServerRequest(second);
        Assert.False(second.IsAsked);
        sut.Advance(Gathering);

        Assert.True(second.IsAsked);
    }

    [Fact]
    public void OnServerRequest_WhileTheDrainBegins_IsNotMissed()
    {
        var sut = new TestDrain();
        var first = sut.Accept("first");
        var second = sut.Accept("second");
        first.Looked = () => sut.Coordinator.OnServerRequest(second);
        sut.Coordinator.OnServerRequest(first);

        sut.Advance(Gathering);
        sut.Advance(Gathering);

        Assert.True(second.IsAsked);
    }

    [Fact]
    public void OnServerRequest_ConnectionThatHasEnded_DoesNothing()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        connection.End();

        sut.Coordinator.OnServerRequest(connection);
        sut.Advance(Gathering);

        Assert.False(connection.IsAsked);
        Assert.Empty(sut.Logger.Entries);
    }

    [Fact]
    public void OnServerRequest_AllEndWhileTheyGather_EndsWithTheStart()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        sut.Coordinator.OnServerRequest(connection);
        connection.End();

        sut.Advance(Gathering);

        Assert.False(connection.IsAsked);
        Assert.Equal(["DrainStarted", "DrainEnded"], sut.Logger.Events);
    }

    [Fact]
    public async Task OnServerRequest_HostStops_BeginsTheWholeDrain()
    {
        var sut = new TestDrain();
        var a = sut.Accept("a");
        var b = sut.Accept("b");
        await sut.AnnounceStopAsync().WithinLimit();

        sut.Coordinator.OnServerRequest(a);

        Assert.Equal(DrainPhase.Draining, sut.Phase);
        Assert.Equal((CloseReason.HostStopping, CloseReason.HostStopping), (a.AskReason, b.AskReason));
        sut.Coordinator.OnServerRequest(b);
        sut.Coordinator.BeginDraining(CloseReason.HostStopping);
        Assert.Equal((1, 1), (a.AskCount, b.AskCount));
        Assert.Single(sut.Logger.Events, "DrainStarted");
    }

    [Fact]
    public void OnServerRequest_Announced_IsAnEndpointThatStops()
    {
        var sut = new TestDrain(options => options.AnnounceDelay = TimeSpan.FromSeconds(5));
        var connection = sut.Accept();
        var other = sut.Accept("other");
        _ = sut.AnnounceStopAsync();

        sut.Coordinator.OnServerRequest(connection);
        sut.Advance(Gathering);

        Assert.Equal(DrainPhase.Announced, sut.Phase);
        Assert.True(connection.IsAsked);
        Assert.False(other.IsAsked);
    }

    [Fact]
    public async Task OnServerRequest_HostStopsWhileTheyGather_IsInBothDrains()
    {
        var sut = new TestDrain();
        var connection = sut.Accept();
        sut.Coordinator.OnServerRequest(connection);

        var ended = sut.StopHost();
        Assert.Equal(CloseReason.HostStopping, connection.AskReason);
        sut.Advance(Gathering);
        connection.End();

        await ended.WithinLimit();
        Assert.Equal(2, sut.Logger.Events.Count(name => name == "DrainEnded"));
        Assert.Equal(1, (await sut.Coordinator.DrainAsync().WithinLimit()).ConnectionCount);
    }
}
