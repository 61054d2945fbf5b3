using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>How far the output got by the kernel's own queue, whoever else uses the socket.</summary>
public class SocketDeliveryTests
{
    public SocketDeliveryTests() => Assert.SkipUnless(PlatformProbe.Current.TrustsSendQueue, "Asks for the send queue.");

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task GetDelivery_FinAcknowledged_IsDelivered(bool isIPv6)
    {
        using var pair = await SocketPair.ConnectAsync(isIPv6 ? IPAddress.IPv6Loopback : IPAddress.Loopback);
        var sut = new SocketQueue(pair.Own);
        pair.Own.Send(new byte[3]);
        await TestLimit.UntilAsync(() => sut.GetDelivery(3, 3, finSent: false).IsAllAcknowledged);
        Assert.False(sut.GetDelivery(3, 3, finSent: false).IsDelivered);

        pair.Own.Shutdown(SocketShutdown.Send);

        await TestLimit.UntilAsync(() => sut.GetDelivery(3, 3, finSent: true).IsDelivered);
        var delivery = sut.GetDelivery(3, 3, finSent: true);
        Assert.Equal((0, true, false), (delivery.UnacknowledgedBytes, delivery.IsInKernel, delivery.IsOnlyFinMissing));
    }

    [Fact]
    public async Task GetDelivery_PeerReadsNothing_NamesWhatIsMissingWithoutTheFin()
    {
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        var sent = pair.FillOwn();
        pair.Own.Shutdown(SocketShutdown.Send);

        var delivery = sut.GetDelivery(sent, sent, finSent: true);

        Assert.Equal((false, false, false), (delivery.IsDelivered, delivery.IsReset, delivery.IsAllAcknowledged));
        Assert.True(delivery.UnacknowledgedBytes is > 0 and var missing && missing < sent);
        await pair.ReadPeerToEndAsync(sent);
        await TestLimit.UntilAsync(() => sut.GetDelivery(sent, sent, finSent: true).IsDelivered);
    }

    [Fact]
    public async Task GetDelivery_PeerReads_IsProgress()
    {
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        var sent = pair.FillOwn();
        var before = sut.GetDelivery(sent, sent, finSent: false).Progress;
        Assert.Equal(before, sut.GetDelivery(sent, sent, finSent: false).Progress);

        var refilled = await pair.RefillAsync(SocketQueue.GetSendLength(pair.Own));

        Assert.True(refilled > 0);
        Assert.NotEqual(before, sut.GetDelivery(sent, sent, finSent: false).Progress); // Although the queue is as long.
    }

    // Half of the output by the handler's own call, which our counters know nothing of.
    [Fact]
    public async Task GetDelivery_SomebodyElseSentOnTheSocket_WaitsForThatAsWell()
    {
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        var foreign = pair.FillOwn();
        pair.Own.Shutdown(SocketShutdown.Send);

        var delivery = sut.GetDelivery(0, 0, finSent: true);

        Assert.False(delivery.IsDelivered);
        Assert.True(delivery.UnacknowledgedBytes > 0);
        await pair.ReadPeerToEndAsync(foreign);
        await TestLimit.UntilAsync(() => sut.GetDelivery(0, 0, finSent: true).IsDelivered);
    }

    [Fact]
    public async Task GetDelivery_PeerResetsWithBytesUnacknowledged_IsResetAndNamesThem()
    {
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        var sent = pair.FillOwn();
        pair.Own.Shutdown(SocketShutdown.Send);

        pair.ResetByPeer();

        await TestLimit.UntilAsync(() => sut.GetDelivery(sent, sent, finSent: true).IsReset);
        var delivery = sut.GetDelivery(sent, sent, finSent: true);
        Assert.False(delivery.IsDelivered);
        Assert.True(delivery.UnacknowledgedBytes > 0);
    }

    // Else a close asks twice.
    [Fact]
    public async Task IsLookCostly_OutputOfASocket_IsKnownToTheCloser()
    {
        using var pair = await SocketPair.ConnectAsync();
        var queue = new SocketQueue(pair.Own);
        var passed = new WrappedDelivery(queue, isTls: false, TimeProvider.System);
        ISendSink[] sinks = [queue, new FirstSendSink(queue, new Pipe().Writer, passed)];

        Assert.True(queue.SeesAcknowledgements);
        Assert.All(sinks, static sink => Assert.True(new SendLoop(new Pipe(), sink, new RecordingEvents()).IsLookCostly));
    }

    [Fact]
    public async Task GetDelivery_PeersFinAnswersOurs_IsDeliveredAndNoReset()
    {
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        pair.Peer.Shutdown(SocketShutdown.Send);
        await TestLimit.UntilAsync(sut.IsBehind);

        pair.Own.Shutdown(SocketShutdown.Send);

        await TestLimit.UntilAsync(() => sut.IsOver(finSent: true));
        var delivery = sut.GetDelivery(0, 0, finSent: true);
        Assert.Equal((true, false, 0), (delivery.IsDelivered, delivery.IsReset, delivery.UnacknowledgedBytes));
    }

    [Fact]
    public async Task IsAllAcknowledged_BytesNotHandedToTheKernel_IsFalseUnlessTheyAreLeftOut()
    {
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);

        Assert.False(sut.GetDelivery(5, 3, finSent: false).IsAllAcknowledged);
        Assert.True(sut.GetDelivery(5, 3, finSent: false, allSent: true).IsAllAcknowledged);
    }

    [Fact]
    public async Task IsBehind_UrgentByteRead_IsFalse()
    {
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        pair.Peer.Send("ab"u8, SocketFlags.OutOfBand);
        await TestLimit.UntilAsync(sut.IsBehind);

        Assert.Equal(1, pair.Own.Receive(new byte[2])); // No read returns the urgent byte.

        Assert.False(sut.IsBehind());
        Assert.Equal(0, sut.GetUnreadLength());
    }

    [Fact]
    public async Task GetUnreadLength_SocketDisposed_IsNothing()
    {
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);

        pair.Own.Dispose();

        Assert.Equal(0, sut.GetUnreadLength());
        Assert.False(sut.IsBehind());
    }

    [Fact]
    public async Task IsResetBeforeFin_SomebodyElseHasRead_IsFalse()
    {
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        pair.Peer.Send(new byte[3]);
        await TestLimit.UntilAsync(() => sut.GetUnreadLength() == 3);

        pair.ResetByPeer();

        await TestLimit.UntilAsync(() => sut.IsResetBeforeFin(3));
        Assert.False(sut.IsResetBeforeFin(2));
        Assert.False(sut.IsResetBeforeFin(4));
    }

    [Fact]
    public async Task GetDelivery_Mptcp_TellsWhatIsMissingAndAsksForNoSubflow()
    {
        using var pair = await SocketPair.TryConnectMptcpAsync();
        Assert.SkipUnless(pair is not null, "The kernel has no MPTCP.");
        var sut = new SocketQueue(pair.Own);
        Assert.True(sut.SeesAcknowledgements);
        Assert.False(sut.TryGetTcpInfo(out _));
        Assert.Null(sut.SinceReceived());
        pair.Own.Blocking = false;
        var sent = 0L;
        await TestLimit.UntilAsync(() =>
        {
            sent += pair.Own.Send(new byte[65536], SocketFlags.None, out var error);
            return error == SocketError.WouldBlock;
        });

        pair.Own.Shutdown(SocketShutdown.Send);

        var delivery = sut.GetDelivery(sent, sent, finSent: true);
        Assert.False(delivery.IsDelivered);
        Assert.True(delivery.UnacknowledgedBytes > 0);
        await pair.ReadPeerToEndAsync(sent);
        await TestLimit.UntilAsync(() => sut.GetDelivery(sent, sent, finSent: true).IsDelivered);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task HasSentBefore_OneByteThatWasAcknowledged_TellsOfItOnEitherEnd(bool accepted)
    {
        using var pair = await SocketPair.ConnectAsync();
        var socket = accepted ? pair.Own : pair.Peer;
        var sut = new SocketQueue(socket);
        Assert.False(sut.HasSentBefore());

        socket.Send(new byte[1]);

        Assert.True(sut.HasSentBefore());
        await TestLimit.UntilAsync(() => SocketQueue.GetSendLength(socket) == 0);
        Assert.True(sut.HasSentBefore());
    }

    [Fact]
    public async Task SinceReceived_ByteCame_IsShort()
    {
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own);
        pair.Peer.Send(new byte[1]);

        await TestLimit.UntilAsync(() => sut.GetUnreadLength() == 1);

        Assert.InRange(sut.SinceReceived()!.Value, TimeSpan.Zero, TimeSpan.FromSeconds(60));
    }
}
