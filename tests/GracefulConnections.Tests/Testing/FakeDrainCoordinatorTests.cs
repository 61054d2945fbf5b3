namespace GracefulConnections.Tests.Testing;

/// <summary>The drain that a test plays.</summary>
public sealed class FakeDrainCoordinatorTests : IDisposable
{
    private readonly FakeDrainCoordinator _sut = new();

    public void Dispose() => _sut.Dispose();

    [Fact]
    public async Task DrainAsync_WholeServer_GoesThroughThePhasesOfTheTest()
    {
        _sut.Add(Create("a"));
        Assert.Equal(DrainPhase.Serving, _sut.Phase);
        _sut.Announce();
        Assert.Equal((DrainPhase.Announced, true, false), (_sut.Phase, _sut.DrainAnnounced.IsCancellationRequested, _sut.DrainStarted.IsCancellationRequested));

        var drain = _sut.DrainAsync();

        Assert.Equal((DrainPhase.Draining, true), (_sut.Phase, _sut.DrainStarted.IsCancellationRequested));
        Assert.False(drain.IsCompleted);
        _sut.Complete();
        Assert.Equal("1 connection in 0.0 s (1 Graceful): 0 bytes unacknowledged, 0 messages unanswered", $"{await drain}");
        Assert.Equal((DrainPhase.Drained, 0), (_sut.Phase, _sut.ConnectionCount));
    }

    [Fact]
    public async Task DrainAsync_Part_RemovesWhatTheFilterChooses()
    {
        _sut.Add(Create("a"));
        _sut.Add(Create("b"));

        var report = await _sut.DrainAsync(static connection => connection.ConnectionId == "b");

        Assert.Equal(1, report.DeliveredCount);
        Assert.Equal("a", Assert.Single(_sut.GetConnections()).ConnectionId);
        Assert.Equal(DrainPhase.Serving, _sut.Phase);
    }

    [Fact]
    public void Abort_OneThatIsThere_IsGoneAndNoted()
    {
        _sut.Add(Create("a"));

        Assert.True(_sut.Abort("a"));
        Assert.False(_sut.Abort("a"));

        Assert.Equal(["a"], _sut.AbortedIds);
        Assert.Empty(_sut.GetConnections());
    }

    private static TrackedConnectionInfo Create(string id) => new() { ConnectionId = id };
}
