using System.Net;
using System.Net.Sockets;
using System.Text;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples;

/// <summary>What a peer of the sample <c>samples/TcpProxy</c> sees when the upstream is not there.</summary>
public sealed class TcpProxyConnectTests
{
    [Fact]
    public async Task Connect_UpstreamRefuses_ResetsThePeerAndLivesOn()
    {
        // A port that is taken and does not listen refuses.
        using var upstream = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        upstream.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using var proxy = await TcpProxy.StartInFrontOfAsync(((IPEndPoint)upstream.LocalEndPoint!).Port);
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal((0, PeerSaw.Reset), await ConnectAndReadToEndAsync(proxy.Port));
        }

        await proxy.Sample.LogContainsAsync($"is reset: no upstream can be reached. Cannot connect to {upstream.LocalEndPoint}: ");

        upstream.Listen();
        await using var peer = await SampleProcess.ConnectAsync(proxy.Port);
        await peer.SendAsync(new byte[1]);
        await using var accepted = new ScriptedPeer(await upstream.AcceptAsync(TestContext.Current.CancellationToken).AsTask().InTimeAsync());
        await accepted.ReadExactlyAsync(1);
    }

    [Fact]
    public async Task Connect_UpstreamCannotBeResolved_ResetsThePeerAndLivesOn()
    {
        using var upstream = Listen();
        await using var proxy = await TcpProxy.StartInFrontOfAsync(1, "--Proxy:Connect", "no-such-host.invalid:80");
        for (var i = 0; i < 2; i++)
        {
            Assert.Equal((0, PeerSaw.Reset), await ConnectAndReadToEndAsync(proxy.Port));
        }

        await proxy.Sample.LogContainsAsync("Cannot connect to no-such-host.invalid:80: ");
        await proxy.Sample.LogContainsAsync("no address was tried.");
    }

    // The kernel ends its connections for it, and a new one listens at the same address.
    [Fact]
    public async Task Upstream_IsKilledAndComesBack_PeersSeeTheEndAndAreServedAgain()
    {
        var port = FreePort.Find();
        await using var first = await SampleProcess.StartAsync("RespServer", "--Resp:Port", $"{port}", "--Http:Port", "0");
        await using var proxy = await TcpProxy.StartInFrontOfAsync(port);
        await using var idle = await SampleProcess.ConnectAsync(proxy.Port);
        await idle.SendAsync("PING\r\n"u8.ToArray());
        Assert.Equal("+PONG\r\n", await RespServer.ReadExactlyAsync(idle, 7));

        Signal.Kill(first.Id);

        Assert.Equal((0, PeerSaw.Eof), await idle.ReadToEndAsync());
        await first.ProcessExitsAsync();
        Assert.Equal((0, PeerSaw.Reset), await ConnectAndReadToEndAsync(proxy.Port));
        await using var second = await SampleProcess.StartAsync("RespServer", "--Resp:Port", $"{port}", "--Http:Port", "0");
        await using var again = await SampleProcess.ConnectAsync(proxy.Port);
        await again.SendAsync("PING\r\n"u8.ToArray());
        Assert.Equal("+PONG\r\n", await RespServer.ReadExactlyAsync(again, 7));
    }

    [Fact]
    public async Task Connect_UpstreamDoesNotAnswer_ResetsThePeerAfterTheTimeout()
    {
        // A full queue of connections that nobody accepts: the kernel drops the next SYN.
        using var upstream = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        upstream.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        upstream.Listen(0);
        using var first = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await first.ConnectAsync(upstream.LocalEndPoint!, TestContext.Current.CancellationToken);
        await using var proxy = await TcpProxy.StartInFrontOfAsync(((IPEndPoint)upstream.LocalEndPoint!).Port, "--Proxy:ConnectTimeout", "0:00:00.5");
        await using var peer = await SampleProcess.ConnectAsync(proxy.Port);
        await peer.SendAsync(new byte[1]);

        Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());
        await proxy.Sample.LogContainsAsync("ConnectTimeout (00:00:00.5000000) is over");
    }

    [Fact]
    public async Task Connect_PeerSendsAndHalfClosesBefore_ArrivesAllTheSame()
    {
        await using var proxy = await TcpProxy.StartAsync();
        var downstream = await SampleProcess.ConnectAsync(proxy.Port);
        await using var _ = downstream;
        await downstream.SendAsync(new byte[100]);
        downstream.HalfClose();

        await using var upstream = await proxy.AcceptAsync();

        Assert.Equal((100, PeerSaw.Eof), await upstream.ReadToEndAsync());
        await upstream.SendAsync(new byte[200]);
        upstream.HalfClose();
        Assert.Equal((200, PeerSaw.Eof), await downstream.ReadToEndAsync());
        Assert.Equal((CloseOutcome.Graceful, CloseOutcome.Graceful), await proxy.OutcomesAsync());
    }

    // Each peer begins with the next of them.
    [Fact]
    public async Task Connect_OneOfTwoUpstreamsRefuses_EveryPeerIsServed()
    {
        using var refusing = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        refusing.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        using var upstream = Listen();
        await using var proxy = await TcpProxy.StartInFrontOfAsync(
            PortOf(upstream), "--Proxy:Connect", $"{refusing.LocalEndPoint}, {upstream.LocalEndPoint}");
        for (var i = 0; i < 3; i++)
        {
            await using var peer = await SampleProcess.ConnectAsync(proxy.Port);
            await peer.SendAsync(new byte[1]);
            await using var accepted = await AcceptAsync(upstream);
            await accepted.ReadExactlyAsync(1);
        }

        await proxy.Sample.LogContainsAsync("tries the next upstream.");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Connect_ProxyHeader_TellsTheUpstreamWhoThePeerIs(int version)
    {
        using var upstream = Listen();
        await using var proxy = await TcpProxy.StartInFrontOfAsync(PortOf(upstream), "--Proxy:ProxyHeader", $"{version}");
        await using var peer = await SampleProcess.ConnectAsync(proxy.Port);
        await peer.SendAsync("hello"u8.ToArray());
        await using var accepted = await AcceptAsync(upstream);

        var port = PortOf(peer.Socket);
        byte[] expected = version == 1
            ? Encoding.ASCII.GetBytes($"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {proxy.Port}\r\nhello")
            : [
                .. "\r\n\r\n\0\r\nQUIT\n"u8, 0x21, 0x11, 0, 12, 127, 0, 0, 1, 127, 0, 0, 1,
                (byte)(port >> 8), (byte)port, (byte)(proxy.Port >> 8), (byte)proxy.Port, .. "hello"u8,
            ];
        var received = new byte[expected.Length];
        for (var count = 0; count < received.Length;)
        {
            count += await accepted.Socket
                .ReceiveAsync(received.AsMemory(count), SocketFlags.None, TestContext.Current.CancellationToken)
                .AsTask()
                .InTimeAsync();
        }

        Assert.Equal(expected, received);
    }

    [Fact]
    public async Task Connect_MoreThanMaxConnections_AreReset()
    {
        using var upstream = Listen();
        await using var proxy = await TcpProxy.StartInFrontOfAsync(PortOf(upstream), "--Proxy:MaxConnections", "1");
        await using var peer = await SampleProcess.ConnectAsync(proxy.Port);
        await peer.SendAsync(new byte[1]);
        await using var accepted = await AcceptAsync(upstream);
        await accepted.ReadExactlyAsync(1);

        Assert.Equal((0, PeerSaw.Reset), await ConnectAndReadToEndAsync(proxy.Port));

        await accepted.SendAsync(new byte[2]); // The first one goes on.
        await peer.ReadExactlyAsync(2);
    }

    private static Socket Listen()
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        return listener;
    }

    private static int PortOf(Socket socket) => ((IPEndPoint)socket.LocalEndPoint!).Port;

    private static async Task<ScriptedPeer> AcceptAsync(Socket listener) =>
        new(await listener.AcceptAsync(TestContext.Current.CancellationToken).AsTask().InTimeAsync());

    // The reset may be there before the connect has told that it succeeded.
    private static async Task<(long Bytes, PeerSaw End)> ConnectAndReadToEndAsync(int port)
    {
        try
        {
            await using var peer = await SampleProcess.ConnectAsync(port);
            return await peer.ReadToEndAsync();
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ConnectionReset)
        {
            return (0, PeerSaw.Reset);
        }
    }
}
