using System.Net;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples;

/// <summary>A reset on one leg of the sample <c>samples/TcpProxy</c> is a reset on the other, whatever the two were doing. In both directions.</summary>
public sealed class TcpProxyResetTests : IAsyncLifetime
{
    private const int BlockBytes = 64 * 1024;

    // One for each test: it tells of its connections in the order of their ends, and tests run at the same time.
    private readonly TcpProxy _proxy = new();

    public ValueTask InitializeAsync() => _proxy.InitializeAsync();

    public ValueTask DisposeAsync() => _proxy.DisposeAsync();

    [Fact]
    public Task Reset_Idle_ResetsTheOther() => InBothDirectionsAsync(async isOneDownstream =>
    {
        var (one, other) = await _proxy.ConnectPairAsync(isOneDownstream);
        await using var _ = one;
        await using var __ = other;
        await RelayByteAsync(one, other);
        await RelayByteAsync(other, one);

        one.Reset();

        await WasResetAsync(other);
        Assert.Equal((CloseOutcome.PeerReset, CloseOutcome.Aborted), await _proxy.OutcomesAsync(isOneDownstream));
    });

    [Fact]
    public Task Reset_AfterItsFin_ResetsTheOther() => InBothDirectionsAsync(async isOneDownstream =>
    {
        var (one, other) = await _proxy.ConnectPairAsync(isOneDownstream);
        await using var _ = one;
        await using var __ = other;
        one.HalfClose();
        Assert.Equal((0, PeerSaw.Eof), await other.ReadToEndAsync());

        one.Reset();

        await WasResetAsync(other, afterFin: true);
        Assert.Equal((CloseOutcome.PeerReset, CloseOutcome.Aborted), await _proxy.OutcomesAsync(isOneDownstream));
    });

    [Fact]
    public Task Reset_AfterTheOthersFin_ResetsTheOther() => InBothDirectionsAsync(async isOneDownstream =>
    {
        var (one, other) = await _proxy.ConnectPairAsync(isOneDownstream);
        await using var _ = one;
        await using var __ = other;
        other.HalfClose();
        Assert.Equal((0, PeerSaw.Eof), await one.ReadToEndAsync());

        one.Reset();

        await WasResetAsync(other);
        Assert.Equal((CloseOutcome.PeerReset, CloseOutcome.Aborted), await _proxy.OutcomesAsync(isOneDownstream));
    });

    // The proxy is sending to the one that resets, again and again: the kernel tells of a reset once, and not always the one who reads.
    [Fact]
    public Task Reset_WhileReceiving_ResetsTheOther() => InBothDirectionsAsync(async isOneDownstream =>
    {
        for (var i = 0; i < 20; i++)
        {
            var (one, other) = await _proxy.ConnectPairAsync(isOneDownstream);
            await using var _ = one;
            await using var __ = other;
            var upload = SendUntilResetAsync(other);
            await one.ReadExactlyAsync((i + 1) * BlockBytes);

            one.Reset();

            await upload;
            Assert.Equal((CloseOutcome.PeerReset, CloseOutcome.Aborted), await _proxy.OutcomesAsync(isOneDownstream));
        }
    });

    // The proxy is blocked in a send to the one that resets, and reads nothing from the other.
    [Fact]
    public Task Reset_WithoutReading_ResetsTheOther() => InBothDirectionsAsync(async isOneDownstream =>
    {
        var (one, other) = await _proxy.ConnectPairAsync(isOneDownstream);
        await using var _ = one;
        await using var __ = other;
        await other.SendUntilBlockedAsync();

        one.Reset();

        await WasResetAsync(other);
        Assert.Equal((CloseOutcome.PeerReset, CloseOutcome.Aborted), await _proxy.OutcomesAsync(isOneDownstream));
    });

    [Fact]
    public Task Reset_WhileSending_ResetsTheOther() => InBothDirectionsAsync(async isOneDownstream =>
    {
        var (one, other) = await _proxy.ConnectPairAsync(isOneDownstream);
        await using var _ = one;
        await using var __ = other;
        one.StartUpload();
        await other.ReadExactlyAsync(100 * BlockBytes);
        await one.StopUploadAsync();

        one.Reset();

        await WasResetAsync(other);
        Assert.Equal((CloseOutcome.PeerReset, CloseOutcome.Aborted), await _proxy.OutcomesAsync(isOneDownstream));
    });

    // The proxy is blocked in a send to the other, and has no read pending that would notice the reset.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public Task Reset_WhileTheOtherDoesNotRead_ResetsTheOther(bool afterTheOthersFin) => InBothDirectionsAsync(async isOneDownstream =>
    {
        var (one, other) = await _proxy.ConnectPairAsync(isOneDownstream);
        await using var _ = one;
        await using var __ = other;
        if (afterTheOthersFin)
        {
            other.HalfClose();
            Assert.Equal((0, PeerSaw.Eof), await one.ReadToEndAsync());
        }

        await one.SendUntilBlockedAsync();

        one.Reset();

        await WasResetAsync(other);
        Assert.Equal((CloseOutcome.PeerReset, CloseOutcome.Aborted), await _proxy.OutcomesAsync(isOneDownstream));
    });

    // The same with less in the buffers: the kernels have taken everything, but the proxy has not read as far as the reset.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public Task Reset_BehindBytesThatTheOtherDoesNotTake_ResetsTheOther(bool afterTheOthersFin) => InBothDirectionsAsync(async isOneDownstream =>
    {
        var (one, other) = await _proxy.ConnectPairAsync(isOneDownstream);
        await using var _ = one;
        await using var __ = other;
        var wireTo = WireTo(other);
        if (afterTheOthersFin)
        {
            other.HalfClose();
            Assert.Equal((0, PeerSaw.Eof), await one.ReadToEndAsync());
        }

        var sent = 0L;
        do
        {
            await one.SendAsync(new byte[BlockBytes]);
            sent += BlockBytes;
            await one.AllAcknowledgedAsync();
        }
        while (sent - wireTo() < BlockBytes); // The proxy holds one read of it, and its kernel perhaps no more than another.

        one.Reset();

        await WasResetAsync(other);
        Assert.Equal((CloseOutcome.PeerReset, CloseOutcome.Aborted), await _proxy.OutcomesAsync(isOneDownstream));
    });

    // One after the other, because the proxy tells of its connections in the order of their ends.
    private static async Task InBothDirectionsAsync(Func<bool, Task> act)
    {
        await act(true);
        await act(false);
    }

    private static async Task RelayByteAsync(ScriptedPeer from, ScriptedPeer to)
    {
        await from.SendAsync(new byte[1]);
        await to.ReadExactlyAsync(1);
    }

    // Neither read nor sent: a read tells of a reset after FIN nothing, and a send to a closed socket makes one.
    private static async Task WasResetAsync(ScriptedPeer peer, bool afterFin = false)
    {
        await Eventually.IsTrueAsync(() => peer.Socket.Poll(0, SelectMode.SelectError));
        var error = (SocketError)(int)peer.Socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error)!;
        Assert.Equal(afterFin ? SocketError.Shutdown : SocketError.ConnectionReset, error); // The kernel tells whether a FIN had come before.
    }

    // The proxy sends nothing to this peer, so that whatever its kernel has received is a FIN.
    private static async Task SendUntilResetAsync(ScriptedPeer peer)
    {
        var exception = await Assert.ThrowsAsync<SocketException>(async () =>
        {
            while (true)
            {
                await peer.SendAsync(new byte[BlockBytes]);
            }
        });
        Assert.True(exception.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown, $"The send ended with {exception.SocketErrorCode}.");
        Assert.Equal(0, peer.KernelReceivedBytes); // Not by the error: the runtime keeps a reset for itself that comes in the middle of a send, and the next one is told of EPIPE.
    }

    // Counts what the proxy has sent and the peer has not read.
    private static Func<long> WireTo(ScriptedPeer peer)
    {
        var port = ((IPEndPoint)peer.Socket.LocalEndPoint!).Port;
        var proxyPort = ((IPEndPoint)peer.Socket.RemoteEndPoint!).Port;
        return () => peer.Socket.Available + KernelSocket.OnPort(proxyPort).Where(socket => socket.RemotePort == port).Sum(socket => socket.SendQueueBytes);
    }
}
