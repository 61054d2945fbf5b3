using System.Net;
using GracefulConnections.Closing;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Closing;

/// <summary>Output that did not arrive, outside of a drain: the operator is told, with the peer's address.</summary>
public sealed class OutputLostTests
{
    private readonly TestEndpoint _endpoint = new();

    [Fact]
    public async Task FlushTimedOut_BytesUnacknowledged_IsAWarningWithThePeersAddress()
    {
        await CloseAsync(unacknowledged: 123, static _ => { });

        var entry = Assert.Single(_endpoint.Logger.Entries, entry => entry.Id.Id == 28);
        Assert.Equal(LogLevel.Warning, entry.Level);
        Assert.Equal("in-memory", entry.Values["ConnectionId"]);
        Assert.Equal("203.0.113.7:4711", entry.Values["Peer"]);
        Assert.Equal(
            (123L, CloseOutcome.FlushTimedOut, 0),
            (entry.Values["LostBytes"], entry.Values["Outcome"], entry.Values["LeftOutCount"]));
    }

    [Fact]
    public async Task FlushTimedOut_NobodyCanTellWhatArrived_CountsWhatNeverLeft()
    {
        await CloseAsync(unacknowledged: null, static _ => { }, unsent: 45);

        var entry = Assert.Single(_endpoint.Logger.Entries, entry => entry.Id.Id == 28);
        Assert.Equal(45L, entry.Values["LostBytes"]);
    }

    [Theory]
    [InlineData("everything arrived")]
    [InlineData("drain")]
    [InlineData("application aborts")]
    [InlineData("peer resets")]
    public async Task Close_NothingLostThatNobodyKnowsOf_IsSilent(string why)
    {
        await CloseAsync(why == "everything arrived" ? 0 : 9, closer =>
        {
            if (why == "drain")
            {
                closer.CapLinger(Timeout.InfiniteTimeSpan);
            }
            else if (why == "peer resets")
            {
                closer.OnFaulted(new IOException());
            }
            else if (why == "application aborts")
            {
                closer.Abort();
            }
        });

        Assert.DoesNotContain(_endpoint.Logger.Entries, entry => entry.Id.Id == 28);
    }

    [Fact]
    public async Task ManyAtOnce_AreOneLineAndTheNextOneCountsThem()
    {
        var closes = Enumerable.Range(0, 4).Select(_ => Start(unacknowledged: 9, static _ => { }, unsent: 0)).ToArray();
        Stall();
        await Task.WhenAll(closes).WithinLimit();
        await CloseAsync(unacknowledged: 9, static _ => { }); // A minute later.

        var counts = _endpoint.Logger.Entries.Where(entry => entry.Id.Id == 28).Select(entry => entry.Values["LeftOutCount"]);
        Assert.Equal<object?>([0, 3], counts);
    }

    private async Task CloseAsync(long? unacknowledged, Action<Closer> meanwhile, long unsent = 0)
    {
        var close = Start(unacknowledged, meanwhile, unsent);
        Stall();
        await close.WithinLimit();
    }

    private void Stall()
    {
        _endpoint.Time.Advance(TimeSpan.FromSeconds(1));
        _endpoint.Time.Advance(_endpoint.Options.FlushStallTimeout);
    }

    private Task Start(long? unacknowledged, Action<Closer> meanwhile, long unsent)
    {
        var closer = Create(unacknowledged, unsent);
        closer.OnHandlerReturned(CloseReason.HandlerCompleted);
        var close = closer.CloseAsync(LeftOver.Send).AsTask();
        meanwhile(closer);
        return close;
    }

    private Closer Create(long? unacknowledged, long unsent)
    {
        var peer = new InMemoryConnection { ConnectionId = "in-memory", RemoteEndPoint = new IPEndPoint(IPAddress.Parse("203.0.113.7"), 4711) };
        var closer = new Closer(peer, _endpoint.Scope);
        var output = new FakeOutput(closer)
        {
            Delivery = new DeliveryStatus(0, IsDelivered: false, IsReset: false, UnacknowledgedBytes: unacknowledged),
            UnsentBytes = unsent,
        };
        closer.Attach(
            new ReadPump(peer.Transport.Input, null, InputKind.Transport, closer), output);
        return closer;
    }
}
