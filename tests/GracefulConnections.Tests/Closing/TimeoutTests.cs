using GracefulConnections.Closing;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Closing;

/// <summary>Every timeout of a close at its edge: nothing one tick before it, everything at it.</summary>
/// <param name="hasKernel">Whether the transport tells of acknowledgements, as a socket does.</param>
public abstract class TimeoutTests(bool hasKernel)
{
    protected const bool AtEdge = true;
    protected const bool OneTickBefore = false;

    // The sweeper's timer knows milliseconds: whatever was found not to be due by a tick is looked at again within this
    // time.
    protected static readonly TimeSpan TimerGrain = TimeSpan.FromMilliseconds(1);

    [Theory]
    [InlineData(AtEdge)]
    [InlineData(OneTickBefore)]
    public async Task FlushStallTimeout_OutputUndelivered_AbortsAtTheEdge(bool atEdge)
    {
        var endpoint = new TestEndpoint(options => options.FlushStallTimeout = TimeSpan.FromSeconds(7));
        var connection = endpoint.ServeBlocked(hasKernel);
        connection.Write("reply");
        connection.Return();
        LookFirst(endpoint);

        await AssertEdgeAsync(endpoint, connection, TimeSpan.FromSeconds(7), atEdge, CloseState.Flushing, CloseOutcome.FlushTimedOut);
    }

    [Fact]
    public async Task FlushStallTimeout_CloseRequestedAndHandlerNotBlocked_DoesNotApply()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve(hasKernel);
        connection.Feature.RequestClose();

        for (var second = 0; second < 60; second++)
        {
            endpoint.Time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.Equal(CloseState.Open, connection.State);
        connection.Peer.HalfClose();
        connection.Return();
        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
    }

    [Theory]
    [InlineData(AtEdge)]
    [InlineData(OneTickBefore)]
    public async Task LingerIdleTimeout_PeerSilentAfterDelivery_ClosesAtTheEdge(bool atEdge)
    {
        var endpoint = new TestEndpoint(options => options.LingerIdleTimeout = TimeSpan.FromSeconds(3));
        var connection = endpoint.Serve(hasKernel);
        connection.Return();

        await AssertEdgeAsync(endpoint, connection, TimeSpan.FromSeconds(3), atEdge, CloseState.Lingering, CloseOutcome.LingerTimedOut);
    }

    [Theory]
    [InlineData(AtEdge)]
    [InlineData(OneTickBefore)]
    public async Task LingerIdleTimeout_ByteReceived_StartsAgain(bool atEdge)
    {
        var endpoint = new TestEndpoint(options => options.LingerIdleTimeout = TimeSpan.FromSeconds(3));
        var connection = endpoint.Serve(hasKernel);
        connection.Return();
        endpoint.Time.Advance(TimeSpan.FromSeconds(2));

        connection.Peer.Send("x");

        await AssertEdgeAsync(endpoint, connection, TimeSpan.FromSeconds(3), atEdge, CloseState.Lingering, CloseOutcome.LingerTimedOut);
    }

    [Theory]
    [InlineData(AtEdge)]
    [InlineData(OneTickBefore)]
    public async Task LingerIdleTimeout_DeliveredLate_StartsAtDelivery(bool atEdge)
    {
        var endpoint = new TestEndpoint(options => options.LingerIdleTimeout = TimeSpan.FromSeconds(3));
        var connection = endpoint.ServeBlocked(hasKernel);
        connection.Write("reply");
        connection.Return();
        endpoint.Time.Advance(TimeSpan.FromSeconds(8));

        Assert.Equal("reply", connection.Unblock());

        await AssertEdgeAsync(endpoint, connection, TimeSpan.FromSeconds(3), atEdge, CloseState.Lingering, CloseOutcome.LingerTimedOut);
    }

    [Theory]
    [InlineData(AtEdge)]
    [InlineData(OneTickBefore)]
    public async Task CloseTimeout_Lingering_ClosesAtTheEdge(bool atEdge)
    {
        var endpoint = new TestEndpoint(options =>
        {
            options.LingerIdleTimeout = Timeout.InfiniteTimeSpan;
            options.CloseTimeout = TimeSpan.FromSeconds(30);
        });
        var connection = endpoint.Serve(hasKernel);
        connection.Return();

        await AssertEdgeAsync(endpoint, connection, TimeSpan.FromSeconds(30), atEdge, CloseState.Lingering, CloseOutcome.CloseTimedOut);
    }

    [Theory]
    [InlineData(AtEdge)]
    [InlineData(OneTickBefore)]
    public async Task CloseTimeout_FlushWithoutProgressAndNoOtherLimit_AbortsAtTheEdge(bool atEdge)
    {
        var endpoint = new TestEndpoint(options =>
        {
            options.FlushStallTimeout = Timeout.InfiniteTimeSpan;
            options.CloseTimeout = TimeSpan.FromSeconds(30);
        });
        var connection = endpoint.ServeBlocked(hasKernel);
        connection.Write("reply");
        connection.Return();
        LookFirst(endpoint);

        await AssertEdgeAsync(endpoint, connection, TimeSpan.FromSeconds(30), atEdge, CloseState.Flushing, CloseOutcome.CloseTimedOut);
    }

    [Theory]
    [InlineData(AtEdge)]
    [InlineData(OneTickBefore)]
    public async Task CloseTimeout_FlushTookAWhile_CountsFromDelivery(bool atEdge)
    {
        var endpoint = new TestEndpoint(options =>
        {
            options.LingerIdleTimeout = Timeout.InfiniteTimeSpan;
            options.CloseTimeout = TimeSpan.FromSeconds(30);
        });
        var connection = endpoint.ServeBlocked(hasKernel);
        endpoint.Time.Advance(TimeSpan.FromDays(1));
        connection.Write("reply");
        connection.Return();
        endpoint.Time.Advance(TimeSpan.FromSeconds(8));
        connection.Unblock();

        await AssertEdgeAsync(endpoint, connection, TimeSpan.FromSeconds(30), atEdge, CloseState.Lingering, CloseOutcome.CloseTimedOut);
    }

    [Theory]
    [InlineData(5, CloseOutcome.LingerTimedOut)]
    [InlineData(4, CloseOutcome.CloseTimedOut)]
    public async Task Timeouts_BothPassedAtTheSameLook_TheEarlierOneIsTheOutcome(int closeTimeoutSeconds, CloseOutcome expected)
    {
        var endpoint = new TestEndpoint(options =>
        {
            options.LingerIdleTimeout = TimeSpan.FromSeconds(5);
            options.CloseTimeout = TimeSpan.FromSeconds(closeTimeoutSeconds);
        });
        var connection = endpoint.Serve(hasKernel);
        connection.Return();

        endpoint.Time.Advance(TimeSpan.FromSeconds(10));

        Assert.Equal(expected, (await connection.EndAsync()).Outcome);
    }

    [Fact]
    public async Task Timeouts_GreatestPossible_WaitForThePeer()
    {
        var endpoint = new TestEndpoint(options =>
        {
            options.FlushStallTimeout = TimeSpan.MaxValue;
            options.LingerIdleTimeout = TimeSpan.MaxValue;
            options.CloseTimeout = TimeSpan.MaxValue;
        });
        var connection = endpoint.ServeBlocked(hasKernel);
        connection.Write("reply");
        connection.Return();

        endpoint.Time.Advance(TimeSpan.FromDays(1));
        Assert.Equal(CloseState.Flushing, connection.State);
        Assert.Equal("reply", connection.Unblock());
        endpoint.Time.Advance(TimeSpan.FromDays(1));
        Assert.Equal(CloseState.Lingering, connection.State);
        connection.Peer.HalfClose();

        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
    }

    // A kernel tells of no progress before it was looked at once, so a stall counts from the first look.
    private void LookFirst(TestEndpoint endpoint) =>
        endpoint.Time.Advance(hasKernel ? CloseDeadlines.ShortestPoll : TimeSpan.Zero);

    private protected static void Advance(TestEndpoint endpoint, TimeSpan timeout, bool atEdge) =>
        endpoint.Time.AdvanceInSteps(atEdge ? timeout : timeout - TimeSpan.FromTicks(1));

    private static async Task AssertEdgeAsync(
        TestEndpoint endpoint, ServedConnection connection, TimeSpan timeout, bool atEdge, CloseState before, CloseOutcome outcome)
    {
        Assert.Equal(before, connection.State);
        Advance(endpoint, timeout, atEdge);

        // Behind our FIN the kernel goes on delivering; what is still here must not look delivered.
        var after = before == CloseState.Lingering ? CloseState.Closed : CloseState.Aborted;
        Assert.Equal(atEdge ? after : before, connection.State);
        endpoint.Time.Advance(TimerGrain);
        Assert.Equal(outcome, (await connection.EndAsync()).Outcome);
    }
}
