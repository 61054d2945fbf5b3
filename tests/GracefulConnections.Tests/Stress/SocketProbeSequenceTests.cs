using System.Net;
using System.Net.Sockets;
using GracefulConnections.Tests.Stress.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Stress;

/// <summary>Sequences that the random ones over sockets found, where a look at the kernel falls between two steps.</summary>
public class SocketProbeSequenceTests
{
    [Fact]
    public async Task GetDelivery_OurFinAcknowledgedBeforeWeNotedThatItWasSent_IsNoReset()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        var (socket, peer) = await ConnectAsync();
        using (socket)
        using (peer)
        {
            var probe = new SocketProbe(socket);
            peer.Shutdown(SocketShutdown.Send);
            probe.Start();
            socket.Shutdown(SocketShutdown.Send);
            await StressRun.UntilAsync(() => probe.GetDelivery(0, 0, finSent: true).IsDelivered, "the delivery of our FIN");

            var delivery = probe.GetDelivery(0, 0, finSent: false);

            Assert.False(delivery.IsReset);
            Assert.False(delivery.IsDelivered);
        }
    }

    [Fact]
    public async Task GetDelivery_SocketDisposedAfterOurFin_IsGoneAndNotDelivered()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        var (socket, peer) = await ConnectAsync();
        using (peer)
        {
            var probe = new SocketProbe(socket);
            probe.Start();
            socket.Shutdown(SocketShutdown.Send);
            socket.Dispose();

            var delivery = probe.GetDelivery(0, 0, finSent: true);

            Assert.False(delivery.IsDelivered);
            Assert.True(delivery.IsGone);
            Assert.Null(delivery.UnacknowledgedBytes);
        }
    }

    [Fact]
    public async Task GetDelivery_SendHalfDone_CountsWhatThePeerHas()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        var (socket, peer) = await ConnectAsync();
        using (socket)
        using (peer)
        {
            var probe = new SocketProbe(socket);
            probe.Start();
            Assert.Equal(1000, socket.Send(Pattern.At(0, 1000).Span)); // Of a send of 5000 bytes, which has not ended.

            await StressRun.UntilAsync(() => probe.GetDelivery(5000, 0, finSent: false).UnacknowledgedBytes == 4000, "the acknowledgement of 1000 bytes");
        }
    }

    private static async Task<(Socket Socket, Socket Peer)> ConnectAsync()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        var peer = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await peer.ConnectAsync(listener.LocalEndPoint!).InTimeAsync();
        return (await listener.AcceptAsync().InTimeAsync(), peer);
    }
}
