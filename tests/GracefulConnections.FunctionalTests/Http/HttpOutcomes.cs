using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>How connections of HTTP endpoints may end.</summary>
internal static class HttpOutcomes
{
    /// <summary>Asserts that the next connection's close began here, and lost nothing.</summary>
    public static async Task AssertGracefulAsync(this TestServer server)
    {
        var result = await server.NextResultAsync();
        Assert.Equal((CloseOutcome.Graceful, 0), (result.Outcome, result.UnacknowledgedBytes));
    }

    /// <summary>
    /// Asserts that the next connection's end was its peer's doing. Kestrel's HTTP may abort a connection that the peer has ended, and nothing is lost by it;
    /// a limit that ended it would be another outcome.
    /// </summary>
    public static async Task AssertEndedByPeerAsync(this TestServer server) => Assert.Contains(
        (await server.NextResultAsync()).Outcome,
        (CloseOutcome[])[CloseOutcome.Graceful, CloseOutcome.PeerReset, CloseOutcome.Aborted]);
}
