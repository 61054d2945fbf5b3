using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests;

public class GracefulConnectionHandlerTests
{
    [Fact]
    public async Task OnConnectedAsync_NobodyCalledUseGracefulShutdown_ClosesGracefullyWithTheDefaults()
    {
        var peer = new InMemoryConnection();
        var sut = new WaitingHandler("bye");
        var running = sut.OnConnectedAsync(peer);

        sut.Feature!.RequestClose(CloseReason.Drain);

        Assert.Equal("bye", await peer.ReceiveToEndAsync());
        Assert.Equal(CloseState.Lingering, sut.Feature!.State);
        Assert.False(running.IsCompleted);
        peer.HalfClose();
        await running.WithinLimit();
        var end = await sut.Feature.Closed.WithinLimit();
        Assert.Equal((CloseReason.Drain, CloseOutcome.Graceful), (end.Reason, end.Outcome));
        Assert.Same(peer, peer.Transport);
    }

    [Fact]
    public async Task OnConnectedAsync_EndpointUsesGracefulShutdown_ClosesOnce()
    {
        var endpoint = new TestEndpoint();
        var peer = new InMemoryConnection();
        var sut = new WaitingHandler("bye");
        var running = endpoint.RunAsync(peer, sut.OnConnectedAsync);
        Assert.Same(peer.Features.Get<IGracefulCloseFeature>(), sut.Feature);

        sut.Feature!.RequestClose(CloseReason.Drain);

        Assert.Equal("bye", await peer.ReceiveToEndAsync());
        peer.HalfClose();
        await running.WithinLimit();
        Assert.Single(endpoint.Logger.Events, "Closed");
        Assert.Single(sut.Goodbyes);
        Assert.Single(endpoint.Meters.Of("graceful.close.duration"));
    }

    [Fact]
    public async Task OnConnectedAsync_Serving_GetsTheTokenOfTheFeature()
    {
        var endpoint = new TestEndpoint();
        var peer = new InMemoryConnection();
        var sut = new WaitingHandler("bye");
        var running = endpoint.RunAsync(peer, sut.OnConnectedAsync);

        Assert.Equal(sut.Feature!.CloseRequested, sut.CloseRequested);

        peer.HalfClose();
        sut.Feature.RequestClose();
        await running.WithinLimit();
    }

    [Fact]
    public async Task OnConnectedAsync_Null_Throws() =>
        await Assert.ThrowsAsync<ArgumentNullException>("connection", () => new WaitingHandler(null).OnConnectedAsync(null!));
}
