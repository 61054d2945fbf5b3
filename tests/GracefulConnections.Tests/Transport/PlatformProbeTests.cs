using System.Net;
using System.Net.Sockets;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>What is taken for granted on a Linux kernel, and what is said where nothing can be trusted.</summary>
public class PlatformProbeTests
{
    [Fact]
    public void Current_OnLinux_TrustsBoth()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Another kernel may tell less.");

        Assert.Equal(new PlatformProbe(TrustsSendQueue: true, TrustsTcpInfo: true), PlatformProbe.Current);
    }

    [Fact]
    public void Run_NoConnectionToItselfCanBeMade_TriesEachAddressOnce()
    {
        List<IPAddress> tried = [];

        var found = PlatformProbe.Run(address =>
        {
            tried.Add(address);
            return null;
        });

        Assert.Equal(PlatformProbe.Nothing, found);
        Assert.Equal([IPAddress.Loopback, IPAddress.IPv6Loopback], tried);
    }

    [Fact]
    public void Run_AnswersDifferOnABusyMachine_AsksAgain()
    {
        var all = new PlatformProbe(TrustsSendQueue: true, TrustsTcpInfo: true);
        Queue<PlatformProbe> answers = new([PlatformProbe.Nothing, all]);

        Assert.Equal(all, PlatformProbe.Run(_ => answers.Dequeue()));
        Assert.Empty(answers);
    }

    [Fact]
    public async Task GetDelivery_NothingTrusted_IsDeliveredWhenHandedToTheKernel()
    {
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own, PlatformProbe.Nothing);

        var open = sut.GetDelivery(5, 3, finSent: false);
        var ended = sut.GetDelivery(5, 5, finSent: true);

        Assert.False(sut.SeesAcknowledgements);
        Assert.Equal((false, false, (long?)null), (open.IsDelivered, open.IsAllAcknowledged, open.UnacknowledgedBytes));
        Assert.Equal((true, true, true), (ended.IsDelivered, ended.IsInKernel, ended.IsAllAcknowledged));
        Assert.Null(ended.UnacknowledgedBytes);
        Assert.NotEqual(open.Progress, ended.Progress);
        Assert.Null(sut.SinceReceived());
    }

    [Fact]
    public async Task GetDelivery_NothingTrustedAndSocketDisposed_IsGone()
    {
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own, PlatformProbe.Nothing);

        pair.Own.Dispose();

        Assert.True(sut.GetDelivery(5, 5, finSent: true).IsGone);
    }

    [Fact]
    public async Task GetDelivery_OnlyTheSendQueueTrusted_TellsWhatIsUnacknowledged()
    {
        Assert.SkipUnless(PlatformProbe.Current.TrustsSendQueue, "Asks for the send queue.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = new SocketQueue(pair.Own, new PlatformProbe(TrustsSendQueue: true, TrustsTcpInfo: false));
        var sent = pair.FillOwn();

        pair.Own.Shutdown(SocketShutdown.Send);

        var delivery = sut.GetDelivery(sent + 7, sent, finSent: true);
        Assert.Equal((false, false), (delivery.IsDelivered, delivery.IsReset));
        Assert.Equal(SocketQueue.GetSendLength(pair.Own) - 1 + 7, delivery.UnacknowledgedBytes);
        Assert.True(delivery.UnacknowledgedBytes > 7);
    }
}
