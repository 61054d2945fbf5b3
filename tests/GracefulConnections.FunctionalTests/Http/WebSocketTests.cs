using System.Diagnostics;
using System.Net.WebSockets;
using GracefulConnections.FunctionalTests.RealClients;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>WebSockets: the closing handshake (RFC 6455, section 7), whoever begins it, and then TCP's own end without RST.</summary>
public class WebSocketTests
{
    private const string Bye = "bye";

    public static TheoryData<TlsPlacement, bool> Servers { get; } = new MatrixTheoryData<TlsPlacement, bool>(Enum.GetValues<TlsPlacement>(), [false, true]);

    [Theory]
    [InlineData(TlsPlacement.Plaintext)]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task Close_ServerBegins_HandshakeIsCompletedThenFinAndNoReset(TlsPlacement placement)
    {
        await using var server = await HttpServer.StartAsync(SendThenCloseAsync, placement);
        await using var capture = await WireCapture.StartAsync(server.Port);
        bool wasPatient;
        using (var peer = await ConnectAsync(server, placement))
        {
            Assert.Equal(Reply.Bytes, await ReadMessageAsync(peer));
            await ReceiveByeAsync(peer);
            wasPatient = await ClosePeerAsync(peer);
        }

        await server.AssertEndedByPeerAsync();
        await AssertNoResetAsync(capture, server, wasPatient);
    }

    [Theory]
    [InlineData(TlsPlacement.Plaintext)]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task Close_PeerBegins_HandshakeIsCompletedThenFinAndNoReset(TlsPlacement placement)
    {
        await using var server = await HttpServer.StartAsync(EchoAsync, placement);
        await using var capture = await WireCapture.StartAsync(server.Port);
        bool wasPatient;
        using (var peer = await ConnectAsync(server, placement))
        {
            await peer.SendAsync(Reply.Bytes, WebSocketMessageType.Binary, endOfMessage: true, CancellationToken.None).InTimeAsync();
            Assert.Equal(Reply.Bytes, await ReadMessageAsync(peer));
            wasPatient = await ClosePeerAsync(peer);
            Assert.Equal((WebSocketState.Closed, Bye), (peer.State, peer.CloseStatusDescription));
        }

        await server.AssertEndedByPeerAsync();
        await AssertNoResetAsync(capture, server, wasPatient);
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Stop_ApplicationClosesItsSockets_PeerSeesTheHandshakeAndNoReset(TlsPlacement placement, bool withDrain)
    {
        var open = new TaskCompletionSource();
        await using var server = await HttpServer.StartAsync(
            async context =>
            {
                using var socket = await context.WebSockets.AcceptWebSocketAsync();
                var lifetime = context.RequestServices.GetRequiredService<IHostApplicationLifetime>();
                var stopping = new TaskCompletionSource();
                await using var registration = lifetime.ApplicationStopping.UnsafeRegister(_ => stopping.SetResult(), null);
                open.SetResult();
                await stopping.Task.InTimeAsync();
                await socket.SendAsync(Reply.Bytes, WebSocketMessageType.Binary, endOfMessage: true, CancellationToken.None);
                await CloseAsync(socket);
            },
            placement,
            build: builder => AddDrain(builder, withDrain));
        await using var capture = await WireCapture.StartAsync(server.Port);
        using var peer = await ConnectAsync(server, placement);
        await open.Task.InTimeAsync();

        var stopping = server.StopAsync();

        Assert.Equal(Reply.Bytes, await ReadMessageAsync(peer));
        await ReceiveByeAsync(peer);
        var wasPatient = await ClosePeerAsync(peer);
        await stopping;
        await server.AssertEndedByPeerAsync();
        await AssertNoResetAsync(capture, server, wasPatient);
    }

    private static void AddDrain(WebApplicationBuilder builder, bool withDrain)
    {
        if (withDrain)
        {
            TestServer.AddPatientDrain(builder);
        }
    }

    private static async Task AssertNoResetAsync(WireCapture capture, TestServer server, bool wasPeerPatient)
    {
        // Inside TLS the outcome is known before the server closes the socket, which sends FIN.
        await Eventually.IsTrueAsync(() => !KernelSocket.OnPort(server.Port).Any(socket => socket is { RemotePort: > 0, HasDescriptor: true }));
        var wire = await capture.StopAsync();
        Assert.DoesNotContain(wire, segment => segment.IsReset && (wasPeerPatient || segment.SourcePort == server.Port));
        Assert.Contains(wire, segment => segment.IsFin && segment.SourcePort == server.Port);
        Assert.Contains(wire, segment => segment.IsFin && segment.DestinationPort == server.Port);
    }

    private static async Task SendThenCloseAsync(HttpContext context)
    {
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        await socket.SendAsync(Reply.Bytes, WebSocketMessageType.Binary, endOfMessage: true, CancellationToken.None);
        await CloseAsync(socket);
    }

    private static async Task EchoAsync(HttpContext context)
    {
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        var buffer = new byte[64 * 1024];
        while (await socket.ReceiveAsync(buffer, CancellationToken.None) is { MessageType: not WebSocketMessageType.Close } part)
        {
            await socket.SendAsync(buffer.AsMemory(0, part.Count), part.MessageType, part.EndOfMessage, CancellationToken.None);
        }

        await CloseAsync(socket);
    }

    private static async Task<ClientWebSocket> ConnectAsync(TestServer server, TlsPlacement placement)
    {
        var peer = new ClientWebSocket();
        using var invoker = new HttpMessageInvoker(new SocketsHttpHandler { SslOptions = TestCertificate.TrustingOptions });
        var address = new UriBuilder(server.Address(placement)) { Scheme = placement == TlsPlacement.Plaintext ? "ws" : "wss" }.Uri;
        await peer.ConnectAsync(address, invoker, CancellationToken.None).InTimeAsync();
        return peer;
    }

    private static async Task<byte[]> ReadMessageAsync(WebSocket socket)
    {
        var message = new byte[Reply.Length];
        for (var read = 0; ;)
        {
            var part = await socket.ReceiveAsync(message.AsMemory(read), CancellationToken.None).AsTask().InTimeAsync();
            read += part.Count;
            if (part.EndOfMessage)
            {
                return message[..read];
            }
        }
    }

    private static async Task ReceiveByeAsync(WebSocket socket)
    {
        var part = await socket.ReceiveAsync(new byte[1], CancellationToken.None).InTimeAsync();
        Assert.Equal((WebSocketMessageType.Close, Bye), (part.MessageType, part.CloseStatusDescription));
    }

    // .NET's client waits for the server's close for one second. Then it closes, and its kernel answers what still comes with RST.
    private static async Task<bool> ClosePeerAsync(ClientWebSocket peer)
    {
        var started = Stopwatch.GetTimestamp();
        await CloseAsync(peer);
        return Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(1);
    }

    private static Task CloseAsync(WebSocket socket) => socket.CloseAsync(WebSocketCloseStatus.NormalClosure, Bye, CancellationToken.None).InTimeAsync();
}
