using System.Net;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using GracefulConnections.FunctionalTests.Tls;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.Endpoints;

/// <summary>Everything that Kestrel can listen on.</summary>
public sealed class EndpointKindTests
{
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(200);

    [Fact]
    public async Task UnixSocket_PeerStillUploading_GetsTheWholeReply()
    {
        await using var server = await TestServer.StartUnixAsync(WholeReply.SendAsync, WholeReply.BePatient);

        await WholeReply.AssertArrivesAsync(server, server.EndPoint);
    }

    [Theory]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task UnixSocket_Tls_PeerStillUploading_GetsTheWholeReply(TlsPlacement placement)
    {
        var endPoint =
            new UnixDomainSocketEndPoint(Path.Combine(Path.GetTempPath(), $"graceful-{Guid.NewGuid():N}.sock"));
        await using var server =
            await TestServer.StartAsync(endPoint, (server, endpoint) => UseTls(server, endpoint, placement));

        await WholeReply.AssertArrivesOverTlsAsync(server, endPoint, EndOf(placement));
    }

    // As with systemd's socket activation: another process has bound the socket and listens.
    [Fact]
    public async Task Handle_PeerStillUploading_GetsTheWholeReply()
    {
        var (handle, endPoint) = ListenAndPass();
        await using var server =
            await StartAsync((server, kestrel) => kestrel.ListenHandle(handle, endpoint => Use(server, endpoint)));

        await WholeReply.AssertArrivesAsync(server, endPoint);
    }

    [Theory]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task Handle_Tls_PeerStillUploading_GetsTheWholeReply(TlsPlacement placement)
    {
        var (handle, endPoint) = ListenAndPass();
        await using var server = await StartAsync(
            (server, kestrel) => kestrel.ListenHandle(handle, endpoint => UseTls(server, endpoint, placement)));

        await WholeReply.AssertArrivesOverTlsAsync(server, endPoint, EndOf(placement));
    }

    [Fact]
    public async Task AnyIP_PeerStillUploading_GetsTheWholeReply()
    {
        ListenOptions? any = null;
        await using var server =
            await StartAsync((server, kestrel) => kestrel.ListenAnyIP(0, endpoint => Use(server, any = endpoint)));

        foreach (var address in LoopbackAddresses())
        {
            await using var peer = await ConnectAsync(address, any!.IPEndPoint!.Port);
            await WholeReply.AssertArrivesAsync(server, peer);
        }
    }

    [Fact]
    public async Task Localhost_PeerStillUploading_GetsTheWholeReplyOnEachAddress()
    {
        var (server, port) = await StartOnLocalhostAsync();
        await using (server)
        {
            foreach (var address in LoopbackAddresses())
            {
                await using var peer = await ConnectAsync(address, port);
                await WholeReply.AssertArrivesAsync(server, peer);
            }
        }
    }

    [Theory]
    [InlineData("GL")]
    [InlineData("GW")]
    public async Task Plaintext_BeforeConnectionLoggingOrAWrapper_PeerStillUploading_GetsTheWholeReply(string order)
    {
        await using var server = await StartInOrderAsync(order);

        await WholeReply.AssertArrivesAsync(server, server.EndPoint);
    }

    // As with stock Kestrel: a peer that reads gets it all, and nobody knows more.
    [Theory]
    [InlineData("LG")]
    [InlineData("WG")]
    [InlineData("LGL")]
    public async Task Plaintext_BehindConnectionLoggingOrAWrapper_PeerOnlyReads_GetsTheWholeReply(string order)
    {
        await using var server = await StartInOrderAsync(order);
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[1]);

        Assert.Equal((WholeReply.Bytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        Assert.Equal(CloseOutcome.LeftToServer, (await server.NextResultAsync()).Outcome);
    }

    [Fact]
    public async Task ManyEndpoints_EachHasItsOwnOptions()
    {
        var endpoints = new List<ListenOptions>();
        await using var server = await StartAsync((server, kestrel) =>
        {
            Listen(kestrel, server, static options => options.LingerIdleTimeout = Short);
            Listen(kestrel, server, static options => options.CloseTimeout = Short);
            Listen(kestrel, server, static options => options.MaxLingerBytes = 0);
            Listen(kestrel, server, static _ => { });
            Listen(kestrel, null, null);
        });

        foreach (var outcome in (CloseOutcome[])[CloseOutcome.LingerTimedOut, CloseOutcome.CloseTimedOut])
        {
            await using var silent = await ConnectAsync(endpoints[outcome == CloseOutcome.LingerTimedOut ? 0 : 1]);
            Assert.Equal((WholeReply.Bytes, PeerSaw.Eof), await silent.ReadToEndAsync());
            Assert.Equal(outcome, (await server.NextResultAsync()).Outcome);
            await silent.SendUntilResetAsync();
        }

        await using (var late = await ConnectAsync(endpoints[2]))
        {
            Assert.Equal((WholeReply.Bytes, PeerSaw.Eof), await late.ReadToEndAsync());
            await late.SendUntilResetAsync();
            Assert.Equal(CloseOutcome.LingerLimitExceeded, (await server.NextResultAsync()).Outcome);
        }

        await WholeReply.AssertArrivesAsync(server, endpoints[3].EndPoint);

        await using (var stock = await ConnectAsync(endpoints[4]))
        {
            Assert.Equal((WholeReply.Bytes, PeerSaw.Eof), await stock.ReadToEndAsync());
            await stock.SendUntilResetAsync(); // Nobody lingers.
        }

        void Listen(KestrelServerOptions kestrel, TestServer? server, Action<GracefulCloseOptions>? configure) =>
            kestrel.Listen(IPAddress.Loopback, 0, endpoint =>
        {
            endpoints.Add(endpoint);
            if (server is not null)
            {
                endpoint.UseGracefulShutdown(WholeReply.BePatient + configure!).Use(server.ObserveResults);
            }

            endpoint.Run(static connection => WholeReply.SendAsync(connection));
        });

        static async Task<ScriptedPeer> ConnectAsync(ListenOptions endpoint)
        {
            var peer = await ScriptedPeer.ConnectAsync(endpoint.EndPoint);
            await peer.SendAsync(new byte[1]);
            return peer;
        }
    }

    private static Task<TestServer> StartInOrderAsync(string order) =>
        TestServer.StartAsync(new IPEndPoint(IPAddress.Loopback, 0), (server, endpoint) =>
        {
            foreach (var letter in order)
            {
                _ = letter switch
                {
                    'G' => endpoint.UseGracefulShutdown(WholeReply.BePatient).Use(server.ObserveResults),
                    'L' => endpoint.UseConnectionLogging(),
                    _ => endpoint.Use(static next => new CopyingMiddleware(next).OnConnectionAsync),
                };
            }

            endpoint.Run(static connection => WholeReply.SendAsync(connection));
        });

    private static TlsPeerSaw EndOf(TlsPlacement placement) =>
        placement == TlsPlacement.Outside ? TlsPeerSaw.Eof : TlsPeerSaw.CloseNotify;

    private static void Use(TestServer server, ListenOptions endpoint) =>
        endpoint.UseGracefulShutdown(WholeReply.BePatient).Use(server.ObserveResults).Run(
            static connection => WholeReply.SendAsync(connection));

    private static void UseTls(TestServer server, ListenOptions endpoint, TlsPlacement placement)
    {
        if (placement != TlsPlacement.Inside)
        {
            endpoint.UseGracefulShutdown(WholeReply.BePatient);
        }

        endpoint.UseHttps(TestCertificate.Server);
        if (placement != TlsPlacement.Outside)
        {
            endpoint.UseGracefulShutdown(WholeReply.BePatient);
        }

        endpoint.Use(server.ObserveResults).Run(static connection => WholeReply.SendAsync(connection));
    }

    // One endpoint that every server of these tests has, and nobody connects to.
    private static Task<TestServer> StartAsync(Action<TestServer, KestrelServerOptions> listen) =>
        TestServer.StartAsync(new IPEndPoint(IPAddress.Loopback, 0), (server, endpoint) =>
    {
        endpoint.Run(static _ => Task.CompletedTask);
        listen(server, endpoint.KestrelServerOptions);
    });

    // Kestrel takes no port 0 for localhost, which is two addresses. Another process may have taken the port that was
    // free a moment ago.
    private static async Task<(TestServer Server, int Port)> StartOnLocalhostAsync()
    {
        for (var attempt = 1; ; attempt++)
        {
            int port;
            using (var free = Listen())
            {
                port = ((IPEndPoint)free.LocalEndPoint!).Port;
            }

            try
            {
                return (await StartAsync(
                    (server, kestrel) => kestrel.ListenLocalhost(port, endpoint => Use(server, endpoint))), port);
            }
            catch (IOException) when (attempt < 10)
            {
                // Taken.
            }
        }
    }

    private static Socket Listen()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        socket.Listen();
        return socket;
    }

    // Who is passed the handle closes it. The runtime's own socket knows of it no more, and would wait for good if it
    // were disposed.
    private static (ulong Handle, EndPoint EndPoint) ListenAndPass()
    {
        var socket = Listen();
        var passed = ((ulong)socket.Handle, socket.LocalEndPoint!);
        socket.SafeHandle.SetHandleAsInvalid();
        return passed;
    }

    private static IEnumerable<IPAddress> LoopbackAddresses() =>
        Socket.OSSupportsIPv6 ? [IPAddress.Loopback, IPAddress.IPv6Loopback] : [IPAddress.Loopback];

    private static async Task<ScriptedPeer> ConnectAsync(IPAddress address, int port)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(address, port).InTimeAsync();
        return new ScriptedPeer(socket);
    }
}
