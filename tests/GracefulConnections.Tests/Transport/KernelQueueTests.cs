using System.Net.Sockets;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>Resets that no operation tells of.</summary>
public class KernelQueueTests
{
    [Fact]
    public async Task IsResetBeforeFin_PeerResets_IsTrue()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        Receive(pair, 3);
        Assert.False(sut.IsResetBeforeFin(3));

        pair.ResetByPeer();

        await TestLimit.UntilAsync(() => sut.IsResetBeforeFin(3));
    }

    [Fact]
    public async Task IsResetBeforeFin_PeerResetsBehindItsFin_IsFalse()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        Receive(pair, 3);
        pair.Peer.Shutdown(SocketShutdown.Send);

        pair.ResetByPeer();

        await UntilClosedAsync(sut);
        Assert.False(sut.IsResetBeforeFin(3));
    }

    [Fact]
    public async Task IsResetBeforeFin_PeersFinAlone_IsFalse()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);

        pair.Peer.Shutdown(SocketShutdown.Send);

        await TestLimit.UntilAsync(() => sut.IsBehind());
        Assert.False(sut.IsResetBeforeFin(0));
    }

    [Fact]
    public async Task HasUnnoticedReset_PeerResets_IsTrueUntilAnOperationFetchesIt()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        Assert.False(sut.HasUnnoticedReset());

        pair.ResetByPeer();

        await TestLimit.UntilAsync(sut.HasUnnoticedReset);
        Assert.True(sut.HasUnnoticedReset()); // Asking does not fetch it.
        var exception = Assert.Throws<SocketException>(() => pair.Own.Receive(new byte[1]));
        Assert.Equal(SocketError.ConnectionReset, exception.SocketErrorCode);
        Assert.False(sut.HasUnnoticedReset());
    }

    [Fact]
    public async Task HasUnnoticedReset_PeerResetsBehindUnreadBytes_IsTrue()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        pair.Peer.Send(new byte[3]);

        pair.ResetByPeer();

        await TestLimit.UntilAsync(sut.HasUnnoticedReset);
    }

    [Fact]
    public async Task HasUnnoticedReset_BothFins_IsFalse()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        pair.Peer.Shutdown(SocketShutdown.Send);
        await TestLimit.UntilAsync(() => sut.IsBehind());

        pair.Own.Shutdown(SocketShutdown.Send);

        await UntilClosedAsync(sut);
        Assert.False(sut.HasUnnoticedReset());
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(3, true)]
    [InlineData(3, false)]
    public async Task IsClosedByFin_BothFins_TellsWhetherEveryByteWasSeen(int bytes, bool seesAll)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        Receive(pair, bytes);
        pair.Own.Shutdown(SocketShutdown.Send);
        Assert.False(sut.IsClosedByFin(bytes));

        pair.Peer.Shutdown(SocketShutdown.Send);

        await UntilClosedAsync(sut);
        Assert.Equal(seesAll, sut.IsClosedByFin(seesAll ? bytes : bytes - 1));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)] // As many as a FIN counts.
    public async Task IsClosedByFin_PeerResets_IsFalse(int unreadBytes)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        pair.Own.Shutdown(SocketShutdown.Send);
        pair.Peer.Send(new byte[unreadBytes]);

        pair.Peer.LingerState = new LingerOption(true, 0);
        pair.Peer.Dispose();

        await UntilClosedAsync(sut);
        Assert.False(sut.IsClosedByFin(0));
    }

    [Fact]
    public async Task HasUnnoticedReset_SocketDisposed_IsFalse()
    {
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);

        pair.Own.Dispose();

        Assert.False(sut.HasUnnoticedReset());
        Assert.False(sut.IsResetBeforeFin(0));
    }

    [Fact]
    public async Task UnixSocket_PeerIsGone_CannotBeSeen()
    {
        using var pair = await SocketPair.ConnectAsync(isUnix: true);
        var sut = new SocketQueue(pair.Own);

        pair.Peer.Dispose();

        Assert.False(sut.HasUnnoticedReset());
        Assert.False(sut.IsResetBeforeFin(0));
    }

    private static Task UntilClosedAsync(KernelQueue probe) => TestLimit.UntilAsync(() => probe.TryGetTcpInfo(out var info) && info.State == TcpInfo.Closed);

    private static void Receive(SocketPair pair, int count)
    {
        pair.Peer.Send(new byte[count]);
        for (var received = 0; received < count;)
        {
            received += pair.Own.Receive(new byte[count - received]);
        }
    }
}
