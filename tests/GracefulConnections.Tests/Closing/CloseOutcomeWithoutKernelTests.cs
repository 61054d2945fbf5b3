using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Closing;

/// <summary>Every way for a connection to end on a transport that tells nothing of acknowledgements.</summary>
public sealed class CloseOutcomeWithoutKernelTests() : CloseOutcomeTests(hasKernel: false)
{
    [Fact]
    public async Task Close_AcknowledgementsCannotBeSeen_WaitsForThePeersFin()
    {
        var endpoint = new TestEndpoint(options => options.LingerUntil = LingerUntil.OutputAcknowledged);
        var connection = endpoint.Serve(hasKernel: false);
        connection.Return();

        endpoint.Time.Advance(endpoint.Options.LingerIdleTimeout - TimeSpan.FromTicks(1));
        Assert.Equal(CloseState.Lingering, connection.State);
        connection.Peer.HalfClose();

        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
    }
}
