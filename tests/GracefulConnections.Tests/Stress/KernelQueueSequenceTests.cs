using System.Net;
using System.Net.Sockets;
using GracefulConnections.Closing;
using GracefulConnections.Tests.Stress.Support;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Stress;

/// <summary>Sequences that the random ones over sockets found, where a look at the kernel falls between two steps.</summary>
public class KernelQueueSequenceTests
{
    [Fact]
    public async Task GetDelivery_OurFinAcknowledgedBeforeWeNotedThatItWasSent_IsNoReset()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        var (socket, peer) = await ConnectAsync();
        using (socket)
        using (peer)
        {
            var probe = new SocketQueue(socket);
            peer.Shutdown(SocketShutdown.Send);
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
            var probe = new SocketQueue(socket);
            socket.Shutdown(SocketShutdown.Send);
            socket.Dispose();

            var delivery = probe.GetDelivery(0, 0, finSent: true);

            Assert.False(delivery.IsDelivered);
            Assert.True(delivery.IsGone);
            Assert.Null(delivery.UnacknowledgedBytes);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task EndedByReset_WrappedInputEndsLikeFin_TellsOfAResetThatASendTookTheErrorOf(bool resets)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        var (socket, peer) = await ConnectAsync();
        using (socket)
        using (peer)
        {
            var probe = new SocketQueue(socket);
            await using var connection = new InMemoryConnection();
            var input = Read(connection, probe, InputKind.Tls, new RecordingEvents());
            if (resets)
            {
                peer.Close(0);
                await StressRun.UntilAsync(() => probe.IsOver(finSent: false), "the peer's RST");
            }

            connection.HalfClose(); // What the transport tells: its receive saw an end.

            Assert.True((await input.ReadAsync()).IsCompleted);
            Assert.Equal(resets, input.End.EndedByReset);
        }
    }

    [Fact]
    public async Task EndedByReset_OurAbortBehindThePeersFin_IsNone()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        var (socket, peer) = await ConnectAsync();
        using (peer)
        {
            await using var connection = new InMemoryConnection();
            var input = Read(connection, new SocketQueue(socket), InputKind.Tls, new RecordingEvents());
            connection.HalfClose();
            var result = await input.ReadAsync();
            Assert.True(result.IsCompleted);
            input.AdvanceTo(result.Buffer.End);

            socket.Dispose(); // As an abort of ours does. The transport's reader goes on to say that the input has ended.

            Assert.True((await input.ReadAsync()).IsCompleted);
            Assert.False(input.End.EndedByReset);
        }
    }

    [Fact]
    public async Task GetDelivery_SendHalfDone_NamesNoFewerThanAreMissing()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        var (socket, peer) = await ConnectAsync();
        using (socket)
        using (peer)
        {
            var probe = new SocketQueue(socket);
            Assert.Equal(1000, socket.Send(Pattern.At(0, 1000).Span)); // Of a send of 5000 bytes, which has not ended.

            await StressRun.UntilAsync(() => SocketQueue.GetSendLength(socket) == 0, "the acknowledgement of 1000 bytes");
            Assert.Equal(5000, probe.GetDelivery(5000, 0, finSent: false).UnacknowledgedBytes); // Never too few.
        }
    }

    [Fact]
    public async Task IsBehind_PeersFinWaitsInTheKernel_IsTrue()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        var (socket, peer) = await ConnectAsync();
        using (socket)
        using (peer)
        {
            var probe = new SocketQueue(socket);
            peer.Send("ab"u8);
            await StressRun.UntilAsync(probe.IsBehind, "two bytes");
            Assert.Equal(2, socket.Receive(new byte[2]));
            Assert.False(probe.IsBehind());

            peer.Shutdown(SocketShutdown.Send);

            await StressRun.UntilAsync(probe.IsBehind, "the peer's FIN");
        }
    }

    [Fact]
    public async Task GetDelivery_PeerDoesNotRead_FindsItsWindowClosed()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        var (socket, peer) = await ConnectAsync();
        using (socket)
        using (peer)
        {
            var probe = new SocketQueue(socket);
            Assert.False(probe.GetDelivery(0, 0, finSent: false).IsWindowClosed);
            socket.Blocking = false;
            var written = 0L;
            await StressRun.UntilAsync(
                () =>
                {
                    var sent = socket.Send(new byte[65536], SocketFlags.None, out var error);
                    written += error == SocketError.Success ? sent : 0;
                    return probe.GetDelivery(written, written, finSent: false).IsWindowClosed;
                },
                "a closed window");

            Assert.True(probe.GetDelivery(written, written, finSent: false).UnacknowledgedBytes > 0);
        }
    }

    // The transport's reader is behind: the kernel has the peer's FIN, and the handler's side of the pipe has not.
    [Fact]
    public async Task Close_PeersFinWaitsInTheKernel_IsNotTakenForSilence()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        var (socket, peer) = await ConnectAsync();
        using (socket)
        using (peer)
        {
            var endpoint = new TestEndpoint();
            var connection = new InMemoryConnection();
            var probe = new SocketQueue(socket);
            var closer = new Closer(connection, endpoint.Scope);
            var output = new FakeOutput(closer) { Delivery = new DeliveryStatus(1, IsDelivered: true, IsReset: false, UnacknowledgedBytes: 0) };
            closer.Attach(Read(connection, probe, InputKind.Transport, closer), output);
            peer.Shutdown(SocketShutdown.Send);
            await StressRun.UntilAsync(() => probe.IsBehind(), "the peer's FIN");
            closer.OnHandlerReturned(CloseReason.HandlerCompleted);
            var close = closer.CloseAsync(LeftOver.Send).AsTask();
            closer.OnFinSent();
            Assert.Equal(CloseState.Lingering, closer.State);

            endpoint.Time.Advance(endpoint.Options.LingerIdleTimeout);

            Assert.Equal(CloseState.Lingering, closer.State);
            connection.HalfClose(); // The reader comes to it.
            await close.InTimeAsync();
            Assert.Equal(CloseOutcome.Graceful, closer.Result?.Outcome);
        }
    }

    private static ReadPump Read(
        InMemoryConnection connection, KernelQueue probe, InputKind kind, ITransportEvents events) =>
        new(connection.Transport.Input, probe, kind, events);

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
