using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Closing;

/// <summary>Every timeout of a close, on a transport that tells nothing of acknowledgements.</summary>
public sealed class TimeoutWithoutKernelTests() : TimeoutTests(hasKernel: false)
{
    [Theory]
    [InlineData(AtEdge)]
    [InlineData(OneTickBefore)]
    public async Task FlushStallTimeout_CloseRequestedAndHandlerBlockedInAWrite_AbortsAtTheEdge(bool atEdge)
    {
        var endpoint = new TestEndpoint(options => options.FlushStallTimeout = TimeSpan.FromSeconds(7));
        var connection = endpoint.ServeBlocked(hasKernel: false);
        var write = connection.Output.WriteAsync("reply"u8.ToArray()).AsTask();
        Assert.False(write.IsCompleted);
        endpoint.Time.Advance(TimeSpan.FromDays(1)); // Not asked to close: the handler's affair.
        Assert.Equal(CloseState.Open, connection.State);

        connection.Feature.RequestClose(CloseReason.Drain);
        Advance(endpoint, TimeSpan.FromSeconds(7), atEdge);

        Assert.Equal(atEdge ? CloseState.Aborted : CloseState.Open, connection.State);
        endpoint.Time.Advance(TimerGrain);
        Assert.True((await write.WithinLimit()).IsCanceled);
        connection.Return();
        var end = await connection.EndAsync();
        Assert.Equal((CloseReason.Drain, CloseOutcome.FlushTimedOut, TimeSpan.Zero), (end.Reason, end.Outcome, end.Duration));
    }
}
