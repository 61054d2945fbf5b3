using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Draining;

/// <summary>When a drain asks whom: 1,000 connections over 2 s, half of them busy.</summary>
public class SpreadTests
{
    private const int Count = 1000;

    private static readonly TimeSpan Window = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(1);

    private readonly TestDrain _sut = new(options => options.SpreadWindow = Window);
    private readonly FakeTrackedConnection[] _connections;

    public SpreadTests()
    {
        _connections = [.. Enumerable.Range(0, Count).Select(i => _sut.Accept($"{i}"))];
        for (var i = 0; i < Count; i += 2)
        {
            _connections[i].Busy = true; // Neither the first nor the last to come.
        }
    }

    [Fact]
    public void Spread_CountPerTenthOfTheWindow_IsEven()
    {
        var asked = Run();

        var tenths = asked.CountBy(at => Math.Min((int)(at / (Window / 10)), 9)).Select(tenth => tenth.Value).ToArray(); // The last look is at the very end.
        Assert.Equal(10, tenths.Length);
        Assert.All(tenths, count => Assert.InRange(count, 70, 130)); // Less than 30 % off.
    }

    [Fact]
    public void Spread_FirstAndLast10Ms_AreNoBurst()
    {
        var asked = Run();

        var share = (int)(Count * (TimeSpan.FromMilliseconds(10) / Window));
        Assert.InRange(asked.Count(at => at <= TimeSpan.FromMilliseconds(10)), 0, 2 * share);
        Assert.InRange(asked.Count(at => at >= Window - TimeSpan.FromMilliseconds(10)), 0, 2 * share);
        Assert.All(asked.CountBy(at => at), at => Assert.InRange(at.Value, 1, 2 * share));
    }

    [Fact]
    public void Spread_Everyone_IsAskedNotBeforeItsTimeAndByTheEndOfTheWindow()
    {
        var asked = Run().Order().ToArray();

        for (var i = 0; i < Count; i++)
        {
            Assert.True(asked[i] >= Window * ((i + 0.5) / Count), $"the {i}th at {asked[i]}");
        }

        Assert.True(asked[^1] <= Window);
        Assert.True(asked[^1] < _sut.Options.DrainTimeout);
    }

    [Fact]
    public void Spread_IdleOnes_ComeBeforeTheBusy()
    {
        Run();

        Assert.True(_connections.Where(connection => !connection.Busy).Max(connection => connection.AskedAt) <= _connections.Where(connection => connection.Busy).Min(connection => connection.AskedAt));
    }

    [Fact]
    public void Spread_OneThatEndedBefore_IsNotAsked()
    {
        _ = _sut.StopHost();
        _sut.AdvanceSeconds(1);
        var early = _connections.First(connection => !connection.IsAsked);
        early.End();

        _sut.AdvanceSeconds(1);

        Assert.False(early.IsAsked);
        Assert.All(_connections.Where(connection => connection != early), connection => Assert.True(connection.IsAsked));
    }

    [Fact]
    public void Spread_ClockThatJumps_AsksAllThatAreDueAtOnce()
    {
        _ = _sut.StopHost();

        _sut.AdvanceSeconds(1);
        Assert.Equal(Count / 2, _connections.Count(connection => connection.IsAsked));
        _sut.AdvanceSeconds(1);

        Assert.All(_connections, connection => Assert.Equal(1, connection.AskCount));
    }

    [Fact]
    public async Task Spread_PartOfTheServer_IsSpreadToo()
    {
        var draining = _sut.Coordinator.DrainAsync(info => info.Activity == ConnectionActivity.Busy);
        Assert.All(_connections, connection => Assert.False(connection.IsAsked));

        _sut.AdvanceSeconds(1);
        Assert.Equal(Count / 4, _connections.Count(connection => connection.IsAsked));
        _sut.AdvanceSeconds(1);

        Assert.All(_connections, connection => Assert.Equal(connection.Busy, connection.IsAsked));
        Array.ForEach(_connections, connection => connection.End());
        await draining.WithinLimit();
    }

    [Fact]
    public void Spread_NoWindow_AsksEveryoneBeforeTheDrainReturns()
    {
        _sut.Options.SpreadWindow = TimeSpan.Zero;

        _ = _sut.StopHost();

        Assert.All(_connections, connection => Assert.Equal(1, connection.AskCount));
    }

    private List<TimeSpan> Run()
    {
        var started = _sut.Time.GetTimestamp();
        _ = _sut.StopHost();
        for (var elapsed = TimeSpan.Zero; elapsed < Window; elapsed += Tick)
        {
            _sut.Advance(Tick);
        }

        Assert.All(_connections, connection => Assert.Equal(1, connection.AskCount));
        return [.. _connections.Select(connection => _sut.Time.GetElapsedTime(started, connection.AskedAt))];
    }
}
