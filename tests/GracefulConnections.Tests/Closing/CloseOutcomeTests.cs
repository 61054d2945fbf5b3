using GracefulConnections.Closing;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Closing;

/// <summary>Every way for a connection in memory to end, through the whole middleware.</summary>
/// <param name="hasKernel">Whether the transport tells of acknowledgements, as a socket does.</param>
public abstract class CloseOutcomeTests(bool hasKernel)
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Fact]
    public async Task Close_PeerSendsFin_IsGraceful()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve(hasKernel);
        connection.Write("reply");

        connection.Return();
        Assert.Equal(CloseState.Lingering, connection.State);
        Assert.Equal("reply", await connection.Peer.ReceiveToEndAsync());
        connection.Peer.Send("late");
        endpoint.Time.Advance(Second);
        connection.Peer.HalfClose();

        Assert.Equal(new CloseResult { Reason = CloseReason.HandlerCompleted, Outcome = CloseOutcome.Graceful, Duration = Second, DiscardedBytes = 4, UnacknowledgedBytes = IfKnown(0) }, await connection.EndAsync());
        Assert.Equal(CloseState.Closed, connection.State);
        Assert.Null(connection.Peer.AbortReason);
        Assert.Equal(0, endpoint.Scope.Wheel.Count);
    }

    [Fact]
    public async Task Close_PeerSentFinBefore_EndsAtOnce()
    {
        var connection = new TestEndpoint().Serve(hasKernel);
        connection.Peer.Send("request");
        connection.Peer.HalfClose();
        Assert.Equal(CloseState.Open, connection.State);

        connection.Return();

        Assert.Equal(new CloseResult { Reason = CloseReason.HandlerCompleted, Outcome = CloseOutcome.Graceful, DiscardedBytes = 7, UnacknowledgedBytes = IfKnown(0) }, await connection.EndAsync());
    }

    [Fact]
    public async Task Close_HandlerHalfClosedBefore_GoesThroughHalfClosed()
    {
        var connection = new TestEndpoint().Serve(hasKernel);
        connection.Write("reply");

        connection.Output.Complete();
        Assert.Equal(CloseState.HalfClosed, connection.State);
        Assert.Equal("reply", await connection.Peer.ReceiveToEndAsync());
        connection.Peer.Send("ab");
        Assert.True(connection.Input.TryRead(out var result));
        connection.Input.AdvanceTo(result.Buffer.End);

        connection.Return();
        Assert.Equal(CloseState.Lingering, connection.State);
        connection.Peer.HalfClose();

        var end = await connection.EndAsync();
        Assert.Equal((CloseOutcome.Graceful, 0L), (end.Outcome, end.DiscardedBytes));
    }

    [Fact]
    public async Task Close_PeerReadsNothing_IsFlushTimedOut()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.ServeBlocked(hasKernel);
        connection.Write("reply");

        connection.Return();
        Assert.Equal(CloseState.Flushing, connection.State);
        var firstLook = hasKernel ? CloseDeadlines.ShortestPoll : TimeSpan.Zero; // A stall counts from there.
        endpoint.Time.Advance(firstLook);
        endpoint.Time.Advance(endpoint.Options.FlushStallTimeout);

        Assert.Equal(
            new CloseResult { Reason = CloseReason.HandlerCompleted, Outcome = CloseOutcome.FlushTimedOut, Duration = firstLook + endpoint.Options.FlushStallTimeout, UnacknowledgedBytes = IfKnown(5) },
            await connection.EndAsync());
        await AssertAbortedAsync(connection);
    }

    [Fact]
    public async Task Close_PeerIsSilent_IsLingerTimedOut()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve(hasKernel);
        connection.Return();

        endpoint.Time.Advance(endpoint.Options.LingerIdleTimeout);

        Assert.Equal(CloseOutcome.LingerTimedOut, (await connection.EndAsync()).Outcome);
        Assert.Equal(CloseState.Closed, connection.State);
        Assert.Null(connection.Peer.AbortReason);
    }

    [Fact]
    public async Task Close_PeerSendsForEver_IsCloseTimedOut()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve(hasKernel);
        connection.Return();

        var steps = 0;
        for (; connection.State == CloseState.Lingering; steps++)
        {
            connection.Peer.Send("x");
            endpoint.Time.Advance(Second);
        }

        var end = await connection.EndAsync();
        Assert.Equal(new CloseResult { Reason = CloseReason.HandlerCompleted, Outcome = CloseOutcome.CloseTimedOut, Duration = endpoint.Options.CloseTimeout, DiscardedBytes = steps, UnacknowledgedBytes = IfKnown(0) }, end);
        Assert.Equal(120, steps);
        Assert.Null(connection.Peer.AbortReason);
    }

    [Fact]
    public async Task Close_PeerSendsMoreThanAllowed_IsLingerLimitExceeded()
    {
        var endpoint = new TestEndpoint(options => options.MaxLingerBytes = 3);
        var connection = endpoint.Serve(hasKernel);
        connection.Peer.Send("before our FIN");
        connection.Return();

        connection.Peer.Send("abc");
        Assert.Equal(CloseState.Lingering, connection.State);
        connection.Peer.Send("d");

        var end = await connection.EndAsync();
        Assert.Equal((CloseOutcome.LingerLimitExceeded, 18L), (end.Outcome, end.DiscardedBytes));
        Assert.Null(connection.Peer.AbortReason);
    }

    [Fact]
    public async Task Close_PeerSendsExactlyWhatIsAllowed_IsGraceful()
    {
        var endpoint = new TestEndpoint(options => options.MaxLingerBytes = 3);
        var connection = endpoint.Serve(hasKernel);
        connection.Return();

        connection.Peer.Send("abc");
        connection.Peer.HalfClose();

        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
    }

    [Fact]
    public async Task Close_NoLingerBytesAllowed_EndsAtTheFirst()
    {
        var endpoint = new TestEndpoint(options => options.MaxLingerBytes = 0);
        var connection = endpoint.Serve(hasKernel);
        connection.Return();

        connection.Peer.Send("a");

        Assert.Equal(CloseOutcome.LingerLimitExceeded, (await connection.EndAsync()).Outcome);
    }

    [Fact]
    public async Task Close_TooManyLinger_EvictsTheOldest()
    {
        var endpoint = new TestEndpoint(options => options.MaxLingeringConnections = 2);
        var connections = Enumerable.Range(0, 3).Select(_ => endpoint.Serve(hasKernel)).ToArray();
        connections[1].Return();
        connections[0].Return();
        Assert.Equal([CloseState.Lingering, CloseState.Lingering, CloseState.Open], connections.Select(connection => connection.State));

        connections[2].Return();

        Assert.Equal(CloseOutcome.LingerEvicted, (await connections[1].EndAsync()).Outcome);
        Assert.Null(connections[1].Peer.AbortReason);
        Assert.Equal([CloseState.Lingering, CloseState.Closed, CloseState.Lingering], connections.Select(connection => connection.State));
        connections[0].Peer.HalfClose();
        connections[2].Peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await connections[0].EndAsync()).Outcome);
        Assert.Equal(CloseOutcome.Graceful, (await connections[2].EndAsync()).Outcome);
    }

    [Fact]
    public async Task Close_OneThatLingeredHasEnded_LeavesItsPlaceToAnother()
    {
        var endpoint = new TestEndpoint(options => options.MaxLingeringConnections = 1);
        var connections = Enumerable.Range(0, 3).Select(_ => endpoint.Serve(hasKernel)).ToArray();

        foreach (var connection in connections)
        {
            connection.Return();
            connection.Peer.HalfClose();
            Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
        }
    }

    [Fact]
    public async Task Close_PeerResetsWhileLingering_IsPeerReset()
    {
        var connection = new TestEndpoint().Serve(hasKernel);
        connection.Return();

        connection.Peer.Reset();

        var end = await connection.EndAsync();
        Assert.Equal((CloseReason.HandlerCompleted, CloseOutcome.PeerReset), (end.Reason, end.Outcome));
        Assert.Equal(CloseState.Aborted, connection.State);
    }

    [Fact]
    public async Task Close_ApplicationAbortsWhileLingering_IsAborted()
    {
        var connection = new TestEndpoint().Serve(hasKernel);
        connection.Return();

        connection.Peer.Abort();

        var end = await connection.EndAsync();
        Assert.Equal((CloseReason.HandlerCompleted, CloseOutcome.Aborted), (end.Reason, end.Outcome));
    }

    [Fact]
    public async Task Close_ApplicationAbortsWhileFlushing_IsAborted()
    {
        var connection = new TestEndpoint().ServeBlocked(hasKernel);
        connection.Write("reply");
        connection.Return();
        Assert.Equal(CloseState.Flushing, connection.State);

        connection.Peer.Abort();

        Assert.Equal(CloseOutcome.Aborted, (await connection.EndAsync()).Outcome);
        await AssertAbortedAsync(connection);
    }

    [Fact]
    public async Task Close_TwoCausesAtOnce_TheFirstWins()
    {
        var endpoint = new TestEndpoint(options => options.MaxLingerBytes = 0);
        var connection = endpoint.Serve(hasKernel);
        connection.Return();

        connection.Peer.Send("a");
        connection.Peer.HalfClose();
        endpoint.Time.Advance(endpoint.Options.CloseTimeout);

        Assert.Equal(CloseOutcome.LingerLimitExceeded, (await connection.EndAsync()).Outcome);
        Assert.Single(endpoint.Logger.Events, "Closed");
    }

    private long? IfKnown(long unacknowledgedBytes) => hasKernel ? unacknowledgedBytes : null;

    // The peer reads what had been flushed, and then no FIN: it cannot mistake that for a complete reply.
    private static async Task AssertAbortedAsync(ServedConnection connection)
    {
        Assert.Equal(CloseState.Aborted, connection.State);
        Assert.NotNull(connection.Peer.AbortReason);
        await Assert.ThrowsAsync<Microsoft.AspNetCore.Connections.ConnectionResetException>(connection.Peer.ReceiveToEndAsync);
    }
}
