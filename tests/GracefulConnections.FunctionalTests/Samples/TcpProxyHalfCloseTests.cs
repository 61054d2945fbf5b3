using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples;

/// <summary>FIN on one leg of the sample <c>samples/TcpProxy</c> is FIN on the other, behind everything, while the other direction goes on. In both directions.</summary>
public sealed class TcpProxyHalfCloseTests : IAsyncLifetime
{
    private const int MessageBytes = 1000;
    private const int LargeBytes = 20_000_000;

    // Longer than every timeout of a close that counts silence.
    private static readonly TimeSpan DripTime = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan DripInterval = TimeSpan.FromMilliseconds(100);

    // One for each test: it tells of its connections in the order of their ends, and tests run at the same time.
    private readonly TcpProxy _proxy = new();

    public ValueTask InitializeAsync() => _proxy.InitializeAsync();

    public ValueTask DisposeAsync() => _proxy.DisposeAsync();

    [Fact]
    public Task HalfClose_OneHasFinished_ReceivesForTenMoreSeconds() => BothWaysAsync(async (one, other) =>
    {
        await one.SendAsync(new byte[MessageBytes]);
        one.HalfClose();
        Assert.Equal((MessageBytes, PeerSaw.Eof), await other.ReadToEndAsync());

        var reading = one.ReadToEndAsync();
        var sent = await DripAsync(other);
        other.HalfClose();

        Assert.Equal((sent, PeerSaw.Eof), await reading);
    });

    [Fact]
    public Task HalfClose_SilenceAfterIt_IsNoEnd() => BothWaysAsync(async (one, other) =>
    {
        one.HalfClose();
        Assert.Equal((0, PeerSaw.Eof), await other.ReadToEndAsync());

        // Longer than LingerIdleTimeout, which is for what follows the end of both directions.
        using var silence = new PeriodicTimer(new GracefulCloseOptions().LingerIdleTimeout + TimeSpan.FromSeconds(1));
        await silence.WaitForNextTickAsync(TestContext.Current.CancellationToken);
        await other.SendAsync(new byte[MessageBytes]);
        other.HalfClose();

        Assert.Equal((MessageBytes, PeerSaw.Eof), await one.ReadToEndAsync());
    });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task HalfClose_BehindMoreThanTheBuffersHold_ComesBehindEverything(bool isOneDownstream)
    {
        var (one, other) = await _proxy.ConnectPairAsync(isOneDownstream);
        await using var _ = one;
        await using var __ = other;
        var sending = SendAndHalfCloseAsync(one);

        // The other has ended its own direction before it takes anything.
        other.HalfClose();
        Assert.Equal((0, PeerSaw.Eof), await one.ReadToEndAsync());
        Assert.Equal((LargeBytes, PeerSaw.Eof), await other.ReadToEndAsync());
        await sending;
        Assert.Equal((CloseOutcome.Graceful, CloseOutcome.Graceful), await _proxy.OutcomesAsync());
    }

    // What one sent before a plain close arrives, and what the other sends after it is refused: as without a proxy between them.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Close_TheOtherGoesOnSending_IsReset(bool isOneDownstream)
    {
        var (one, other) = await _proxy.ConnectPairAsync(isOneDownstream);
        await using var _ = one;
        await using var __ = other;
        await one.SendAsync(new byte[MessageBytes]);
        one.Socket.Close();
        Assert.Equal((MessageBytes, PeerSaw.Eof), await other.ReadToEndAsync());

        await other.SendUntilResetAsync();

        Assert.Equal((CloseOutcome.PeerReset, CloseOutcome.Aborted), await _proxy.OutcomesAsync(isOneDownstream));
    }

    // At the same time: these take as long as they take.
    private async Task BothWaysAsync(Func<ScriptedPeer, ScriptedPeer, Task> act)
    {
        var (downstream, upstream) = await _proxy.ConnectPairAsync();
        await using var _ = downstream;
        await using var __ = upstream;
        var (otherDownstream, otherUpstream) = await _proxy.ConnectPairAsync();
        await using var ___ = otherDownstream;
        await using var ____ = otherUpstream;

        await Task.WhenAll(act(downstream, upstream), act(otherUpstream, otherDownstream));

        var both = await _proxy.AllOutcomesAsync();
        Assert.Equal(2, both.Count);
        Assert.All(both, outcomes => Assert.Equal((CloseOutcome.Graceful, CloseOutcome.Graceful), outcomes));
    }

    private static async Task SendAndHalfCloseAsync(ScriptedPeer peer)
    {
        await peer.SendAsync(new byte[LargeBytes]);
        peer.HalfClose();
    }

    private static async Task<long> DripAsync(ScriptedPeer peer)
    {
        using var rhythm = new PeriodicTimer(DripInterval);
        var sent = 0L;
        for (var i = 0; i < DripTime / DripInterval; i++)
        {
            await rhythm.WaitForNextTickAsync(TestContext.Current.CancellationToken);
            await peer.SendAsync(new byte[MessageBytes]);
            sent += MessageBytes;
        }

        return sent;
    }
}
