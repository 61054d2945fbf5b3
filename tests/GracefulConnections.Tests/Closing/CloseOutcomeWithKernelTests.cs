using GracefulConnections.Closing;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Closing;

/// <summary>Every way for a connection to end on a transport that tells of acknowledgements, as a socket does.</summary>
public sealed class CloseOutcomeWithKernelTests() : CloseOutcomeTests(hasKernel: true)
{
    [Fact]
    public async Task Close_AcknowledgementsAreEnough_WaitsForAQuietTail()
    {
        var endpoint = new TestEndpoint(options => options.LingerUntil = LingerUntil.OutputAcknowledged);
        var connection = endpoint.Serve(hasKernel: true);
        connection.Write("reply");
        connection.Return();

        endpoint.Time.Advance(CloseDeadlines.QuietTail - TimeSpan.FromTicks(1));
        Assert.Equal(CloseState.Lingering, connection.State);
        endpoint.Time.Advance(TimeSpan.FromMilliseconds(1));

        Assert.Equal(CloseOutcome.Acknowledged, (await connection.EndAsync()).Outcome);
        Assert.Equal("reply", connection.Peer.Receive());
    }
}
