using GracefulConnections.Closing;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Closing;

/// <summary>
/// The one outside of TLS, after the one inside has closed gracefully: a peer that is gone by then answers close_notify
/// with RST.
/// </summary>
public sealed class OuterCloseTests : IAsyncDisposable
{
    private readonly InMemoryConnection _peer = new();
    private readonly InMemoryConnection _plaintext = new();
    private readonly TestEndpoint _endpoint = new();
    private readonly Closer _sut;
    private readonly FakeOutput _output;

    public OuterCloseTests()
    {
        _sut = new Closer(_peer, _endpoint.Scope);
        _output = new FakeOutput(_sut) { Delivery = new DeliveryStatus(0, IsDelivered: false, IsReset: false, UnacknowledgedBytes: 24) };
        _sut.Attach(
            new ReadPump(_peer.Transport.Input, null, InputKind.Transport, _sut), _output);
    }

    public async ValueTask DisposeAsync()
    {
        await _peer.DisposeAsync();
        await _plaintext.DisposeAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)] // TLS completes its output before it returns.
    public async Task PeerReset_BeforeTheCloseBegins_IsGraceful(bool outputCompleted)
    {
        var inner = await CloseInnerAsync();
        if (outputCompleted)
        {
            _sut.OnOutputCompleted();
        }

        _peer.Reset(); // The first read of the discard finds it.
        _sut.OnHandlerReturned(CloseReason.HandlerCompleted, inner);
        await _sut.CloseAsync(LeftOver.Send).AsTask().WithinLimit();

        AssertGraceful();
    }

    [Fact]
    public async Task PeerReset_WhileFlushing_IsGraceful()
    {
        _sut.OnHandlerReturned(CloseReason.HandlerCompleted, await CloseInnerAsync());
        var closing = _sut.CloseAsync(LeftOver.Send).AsTask();

        _peer.Reset();

        await closing.WithinLimit();
        AssertGraceful();
    }

    private async Task<Closer> CloseInnerAsync()
    {
        var inner = new Closer(_plaintext, _endpoint.Scope, _sut);
        var output = new FakeOutput(inner) { Delivery = new DeliveryStatus(0, IsDelivered: true, IsReset: false, UnacknowledgedBytes: 0) };
        inner.Attach(
            new ReadPump(_plaintext.Transport.Input, null, InputKind.Transport, inner), output);
        _plaintext.HalfClose();
        inner.OnHandlerReturned(CloseReason.HandlerCompleted);
        var closing = inner.CloseAsync(LeftOver.Send).AsTask();
        output.SendFin();
        await closing.WithinLimit();
        Assert.Equal(CloseOutcome.Graceful, inner.Result?.Outcome);
        return inner;
    }

    private void AssertGraceful()
    {
        Assert.Equal((CloseReason.HandlerCompleted, CloseOutcome.Graceful, 0L), (_sut.Result?.Reason, _sut.Result?.Outcome, _sut.Result?.UnacknowledgedBytes));
        Assert.Null(_peer.AbortReason);
    }
}
