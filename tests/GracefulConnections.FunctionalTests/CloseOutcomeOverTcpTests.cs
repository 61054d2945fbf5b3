using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests;

/// <summary>Every outcome over TCP, and those that only TCP has.</summary>
public sealed class CloseOutcomeOverTcpTests : CloseOutcomeTests
{
    private protected override PeerSaw AbortLooksLike => PeerSaw.Reset;

    private protected override bool KnowsUnacknowledgedAfterApplicationAbort => false;

    private protected override bool KnowsUnacknowledgedOfStuckSend => true;

    [Fact]
    public async Task PeerReset_WhileTheHandlerReads()
    {
        var reading = new TaskCompletionSource();
        var readEnded = new TaskCompletionSource<Exception?>();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            await connection.ReadExactlyAsync(1);
            reading.SetResult();
            readEnded.SetResult(await Record.ExceptionAsync(connection.ReadToEndAsync));
        });
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[1]);
        await reading.Task.InTimeAsync();

        peer.Reset();

        Assert.IsType<ConnectionResetException>(await readEnded.Task.InTimeAsync());
        AssertEqual(
            CloseReason.PeerReset, CloseOutcome.PeerReset, discarded: 0, unacknowledged: 0,
            await server.NextResultAsync());
    }

    [Fact]
    public async Task PeerReset_WhileTheHandlerReads_ItsExceptionIsThePeersDoing()
    {
        await using var server = await TestServer.StartAsync(connection => connection.ReadToEndAsync());
        await using var peer = await server.ConnectAsync();

        peer.Reset();

        AssertEqual(
            CloseReason.PeerReset, CloseOutcome.PeerReset, discarded: 0, unacknowledged: 0,
            await server.NextResultAsync());
    }

    [Fact]
    public async Task PeerReset_WhileOutputIsUndelivered_TellsThatThePeerMissedIt()
    {
        const int replyBytes = 12_000_000; // More than both kernels hold.
        var connected = new TaskCompletionSource<IGracefulCloseFeature>();
        await using var server = await TestServer.StartAsync(connection =>
        {
            connected.SetResult(connection.Graceful());
            _ = connection.SendAsync(replyBytes);
            return Task.CompletedTask;
        });
        await using var peer = await server.ConnectAsync();

        // So much comes only behind the first send, of which the server knows by then how much the kernel took.
        await peer.ReadExactlyAsync(TestServer.LargestSend + 1);
        var closing = await connected.Task.InTimeAsync();
        await Eventually.IsTrueAsync(() => closing.State == CloseState.Flushing);

        peer.Reset();

        var result = await server.NextResultAsync();
        Assert.Equal(
            (CloseReason.HandlerCompleted, CloseOutcome.PeerReset, 0),
            (result.Reason, result.Outcome, result.DiscardedBytes));
        Assert.NotNull(result.UnacknowledgedBytes);
        Assert.InRange(result.UnacknowledgedBytes.Value, 1, replyBytes - 1);
    }

    [Fact]
    public async Task PeerReset_WhileLingering()
    {
        const int replyBytes = 100_000;
        var connected = new TaskCompletionSource<IGracefulCloseFeature>();
        await using var server = await TestServer.StartAsync(connection =>
        {
            connected.SetResult(connection.Graceful());
            return connection.SendAsync(replyBytes);
        });
        await using var peer = await server.ConnectAsync();
        Assert.Equal((replyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        var closing = await connected.Task.InTimeAsync();
        await Eventually.IsTrueAsync(() => closing.State == CloseState.Lingering);

        peer.Reset();

        AssertEqual(
            CloseReason.HandlerCompleted, CloseOutcome.PeerReset, discarded: 0, unacknowledged: 0,
            await server.NextResultAsync());
    }

    private protected override Task<TestServer> StartAsync(
        Func<ConnectionContext, Task> handler, Action<GracefulCloseOptions>? configure = null) =>
        TestServer.StartAsync(handler, configure);
}
