using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests;

/// <summary>Every outcome over a Unix domain socket.</summary>
public sealed class CloseOutcomeOverUnixTests : CloseOutcomeTests
{
    // There is no RST: the peer gets what it has not read yet, then the end.
    private protected override PeerSaw AbortLooksLike => PeerSaw.Eof;

    // Sent is acknowledged, and how much was sent needs no socket to ask.
    private protected override bool KnowsUnacknowledgedAfterApplicationAbort => true;

    // The kernel tells how much of a send it took only when the send has ended.
    private protected override bool KnowsUnacknowledgedOfStuckSend => false;

    [Fact]
    public async Task PeerReset_PeerClosesWithoutReading()
    {
        var sent = new TaskCompletionSource();
        await using var server = await TestServer.StartUnixAsync(async connection =>
        {
            await connection.SendAsync(1000);
            sent.SetResult();
            await connection.ReadToEndAsync();
        });
        await using var peer = await server.ConnectAsync();
        await sent.Task.InTimeAsync();
        await peer.ReadExactlyAsync(1);

        peer.Socket.Close();

        var result = await server.NextResultAsync();
        Assert.Equal((CloseReason.PeerReset, CloseOutcome.PeerReset, 0), (result.Reason, result.Outcome, result.DiscardedBytes));
    }

    private protected override Task<TestServer> StartAsync(Func<ConnectionContext, Task> handler, Action<GracefulCloseOptions>? configure = null) =>
        TestServer.StartUnixAsync(handler, configure);
}
