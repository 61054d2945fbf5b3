using System.Diagnostics;
using System.Globalization;
using System.IO.Pipelines;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.FunctionalTests.Outgoing;

/// <summary>What <c>AddGracefulConnectionFactory()</c> makes, against plain sockets.</summary>
public sealed class ConnectionFactoryTests : IDisposable
{
    private const int RequestBytes = 1_500_000;
    private const int UploadBytes = 20_000_000;

    private readonly Socket _listener = Listen(new IPEndPoint(IPAddress.Loopback, 0));
    private ServiceProvider? _services;

    public void Dispose()
    {
        _listener.Dispose();
        _services?.Dispose();
    }

    [Fact]
    public async Task DisposeAsync_PeerStillSends_GetsEverythingThenFin()
    {
        var connection = await ConnectAsync(_listener.LocalEndPoint!);
        await using var peer = await AcceptAsync();
        var upload = peer.SendAsync(new byte[UploadBytes]);
        await connection.SendAsync(RequestBytes);
        connection.Transport.Output.GetSpan(7).Clear();
        connection.Transport.Output.Advance(7); // Not flushed.

        var disposing = connection.DisposeAsync().AsTask();

        Assert.Equal((RequestBytes + 7, PeerSaw.Eof), await peer.ReadToEndAsync());
        await upload;
        Assert.False(disposing.IsCompleted); // The peer's FIN is missing.
        peer.HalfClose();
        await disposing.InTimeAsync();
        Assert.True(connection.Features.Get<IConnectionSocketFeature>()!.Socket.SafeHandle.IsClosed);
        Assert.Equal(
            CloseOutcome.Graceful,
            (await connection.Features.Get<IGracefulCloseFeature>()!.Closed.InTimeAsync()).Outcome);
    }

    // The user of a client often disposes it with a read that waits.
    [Fact]
    public async Task DisposeAsync_ReadIsPending_ReadIsCancelledAndPeerSeesFin()
    {
        var connection = await ConnectAsync(_listener.LocalEndPoint!);
        await using var peer = await AcceptAsync();
        var reading = connection.Transport.Input.ReadAsync(CancellationToken.None).AsTask();

        var disposing = connection.DisposeAsync().AsTask();

        Assert.True((await reading.InTimeAsync()).IsCanceled);
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await disposing.InTimeAsync();
    }

    [Fact]
    public async Task DisposeAsync_PeerNeverEnds_IsBoundedByTheLinger()
    {
        var connection = await ConnectAsync(
            _listener.LocalEndPoint!,
            services => services.Configure<GracefulCloseOptions>(
                options => options.LingerIdleTimeout = TimeSpan.FromMilliseconds(200)));
        await using var peer = await AcceptAsync();

        await connection.DisposeAsync().AsTask().InTimeAsync();

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        await peer.SendUntilResetAsync();
    }

    [Fact]
    public async Task DisposeAsync_Twice_BothWaitForTheEnd()
    {
        var connection = await ConnectAsync(_listener.LocalEndPoint!);
        await using var peer = await AcceptAsync();

        var first = connection.DisposeAsync().AsTask();
        var second = connection.DisposeAsync().AsTask();

        Assert.False(second.IsCompleted);
        peer.HalfClose();
        await Task.WhenAll(first, second).InTimeAsync();
    }

    [Fact]
    public async Task OutputCompleted_IsFinAndTheReplyIsRead()
    {
        await using var connection = await ConnectAsync(_listener.LocalEndPoint!);
        await using var peer = await AcceptAsync();
        await connection.SendAsync(RequestBytes);

        await connection.Transport.Output.CompleteAsync();

        Assert.Equal((RequestBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        await peer.SendAsync(new byte[RequestBytes]);
        peer.HalfClose();
        Assert.Equal(RequestBytes, await connection.ReadToEndAsync().InTimeAsync());
    }

    [Fact]
    public async Task Abort_PeerSeesResetAndReadFails()
    {
        await using var connection = await ConnectAsync(_listener.LocalEndPoint!);
        await using var peer = await AcceptAsync();
        var reading = connection.Transport.Input.ReadAsync(CancellationToken.None).AsTask();

        connection.Abort(new ConnectionAbortedException("No longer wanted."));

        var exception = await Assert.ThrowsAsync<ConnectionAbortedException>(() => reading.InTimeAsync());
        Assert.Equal("No longer wanted.", exception.Message);
        Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());
        await Signalled(connection.ConnectionClosed).InTimeAsync();
    }

    [Fact]
    public async Task PeerResets_ReadFailsAsOnKestrelsOwn()
    {
        await using var connection = await ConnectAsync(_listener.LocalEndPoint!);
        await using var peer = await AcceptAsync();
        var reading = connection.Transport.Input.ReadAsync(CancellationToken.None).AsTask();

        peer.Reset();

        await Assert.ThrowsAsync<ConnectionResetException>(() => reading.InTimeAsync());

        // The kernel tells of a reset once: a second read would look like the end of the stream.
        await Assert.ThrowsAsync<ConnectionResetException>(
            () => connection.Transport.Input.ReadAsync(CancellationToken.None).AsTask().InTimeAsync());
        await Signalled(connection.ConnectionClosed).InTimeAsync();
    }

    [Fact]
    public async Task PeerResets_SendIsToldFirst_ReadIsNoEnd()
    {
        await using var connection = await ConnectAsync(_listener.LocalEndPoint!);
        await using var peer = await AcceptAsync();
        peer.Reset();
        await Eventually.IsTrueAsync(
            () => connection.Features.Get<IConnectionSocketFeature>()!.Socket.Poll(0, SelectMode.SelectRead));

        await Assert.ThrowsAsync<ConnectionResetException>(() => connection.SendAsync(1).InTimeAsync());

        await Assert.ThrowsAsync<ConnectionResetException>(
            () => connection.Transport.Input.ReadAsync(CancellationToken.None).AsTask().InTimeAsync());
    }

    [Fact]
    public async Task PeersFin_Read_ClosesTheToken()
    {
        await using var connection = await ConnectAsync(_listener.LocalEndPoint!);
        await using var peer = await AcceptAsync();
        peer.HalfClose();

        Assert.True((await connection.Transport.Input.ReadAsync(CancellationToken.None).AsTask().InTimeAsync()).IsCompleted);

        await Signalled(connection.ConnectionClosed).InTimeAsync();
    }

    [Fact]
    public async Task UnixDomainSocket_RequestAndReply_EndsGracefully()
    {
        var path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.sock");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        try
        {
            await using var connection = await ConnectAsync(listener.LocalEndPoint!);
            await using var peer = new ScriptedPeer(await listener.AcceptAsync(CancellationToken.None).AsTask().InTimeAsync());

            var running = connection.RunHandlerAsync(static connection => connection.SendAsync(RequestBytes));

            Assert.Equal((RequestBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
            peer.HalfClose();
            Assert.Equal(CloseOutcome.Graceful, (await running.InTimeAsync()).Outcome);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public async Task Tls_OnTop_SendsEverythingThenCloseNotify()
    {
        await using var connection = await ConnectAsync(_listener.LocalEndPoint!);
        var accepted = await _listener.AcceptAsync(CancellationToken.None).AsTask().InTimeAsync();
        await using var server = new SslStream(new NetworkStream(accepted, ownsSocket: true));
        var authenticated = server.AuthenticateAsServerAsync(TestCertificate.Server);
        var socket = connection.Features.Get<IConnectionSocketFeature>()!.Socket;
        await using var tls = new SslStream(new NetworkStream(socket));
        await tls.AuthenticateAsClientAsync(TestCertificate.TrustingOptions, CancellationToken.None).InTimeAsync();
        await authenticated.InTimeAsync();
        connection.Features.Set(tls);
        connection.Transport = new TlsTransport(tls);

        var running = connection.RunHandlerAsync(static connection => connection.SendAsync(RequestBytes));

        var received = 0;
        var buffer = new byte[65536];
        while (await server.ReadAsync(buffer, CancellationToken.None).AsTask().InTimeAsync() is var count and > 0)
        {
            received += count;
        }

        Assert.Equal(RequestBytes, received); // And close_notify: without it the read would throw.
        await server.ShutdownAsync().InTimeAsync();
        accepted.Shutdown(SocketShutdown.Send);
        Assert.Equal(CloseOutcome.Graceful, (await running.InTimeAsync()).Outcome);
    }

    [Fact]
    public async Task Options_AreThoseOfTheSocket()
    {
        await using var connection = await ConnectAsync(
            _listener.LocalEndPoint!,
            services => services.Configure<OutgoingConnectionOptions>(options =>
            {
                options.KeepAlive = TimeSpan.FromSeconds(31.5);
                options.NoDelay = false;
                options.SendBufferSize = 40_000;
                options.ReceiveBufferSize = 30_000;
                options.LocalEndPoint = new IPEndPoint(IPAddress.Parse("127.0.0.9"), 0);
            }));
        await using var peer = await AcceptAsync();

        var socket = connection.Features.Get<IConnectionSocketFeature>()!.Socket;
        Assert.Equal(1, socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive));
        Assert.Equal(32, socket.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime));
        Assert.Equal(11, socket.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval));
        Assert.Equal(3, socket.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount));
        Assert.False(socket.NoDelay);
        Assert.Equal(2 * 40_000, socket.SendBufferSize); // Linux doubles what it is told.
        Assert.Equal(2 * 30_000, socket.ReceiveBufferSize);
        Assert.Equal(IPAddress.Parse("127.0.0.9"), ((IPEndPoint)peer.Socket.RemoteEndPoint!).Address);
        Assert.Equal(peer.Socket.RemoteEndPoint, connection.LocalEndPoint);
        Assert.Equal(peer.Socket.LocalEndPoint, connection.RemoteEndPoint);
        peer.HalfClose();
    }

    [Fact]
    public async Task Name_OnlyOneOfItsAddressesListens_Connects()
    {
        var port = ((IPEndPoint)_listener.LocalEndPoint!).Port;

        await using var connection = await ConnectAsync(new DnsEndPoint("localhost", port));

        await using var peer = await AcceptAsync();
        peer.HalfClose();
    }

    [Fact]
    public async Task NobodyListens_TellsTheAddressAndWhy()
    {
        // What is bound and does not listen refuses. A program that another test starts has a copy of one that listened.
        using var bound = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        bound.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var free = bound.LocalEndPoint!;

        var exception = await Assert.ThrowsAsync<SocketException>(() => ConnectAsync(free));

        Assert.Equal(SocketError.ConnectionRefused, exception.SocketErrorCode);
        Assert.Contains($"Cannot connect to {free}", exception.Message, StringComparison.Ordinal);
        Assert.Contains("refused", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task NameUnknown_TellsSo()
    {
        var exception = await Assert.ThrowsAsync<SocketException>(
            () => ConnectAsync(new DnsEndPoint("no-such-host.invalid", 80)));

        Assert.Contains("no-such-host.invalid:80", exception.Message, StringComparison.Ordinal);
        Assert.Contains("no address was tried", exception.Message, StringComparison.Ordinal);
    }

    // A full accept queue answers no SYN.
    [Fact]
    public async Task NobodyAnswers_ConnectTimeoutTellsWhatWasTried()
    {
        using var full = Listen(new IPEndPoint(IPAddress.Loopback, 0), backlog: 0);
        using var first = await FillAsync(full);

        var started = Stopwatch.GetTimestamp();
        var exception = await Assert.ThrowsAsync<SocketException>(() => ConnectAsync(
            full.LocalEndPoint!,
            services => services.Configure<OutgoingConnectionOptions>(
                options => options.ConnectTimeout = TimeSpan.FromMilliseconds(300))));
        var elapsed = Stopwatch.GetElapsedTime(started).TotalSeconds;

        Assert.Equal(SocketError.TimedOut, exception.SocketErrorCode);
        Assert.Contains("ConnectTimeout (00:00:00.3000000) is over", exception.Message, StringComparison.Ordinal);
        var told = Regex.Match(exception.Message, $@"\. Tried {full.LocalEndPoint}: no answer after (\d+\.\d\d\d) s\.$").Groups[1].Value;
        Assert.InRange(double.Parse(told, CultureInfo.InvariantCulture), 0.2, elapsed + 0.001); // It began later than the timeout, and is rounded.
    }

    [Fact]
    public async Task Cancelled_ThrowsTheCallersToken()
    {
        using var full = Listen(new IPEndPoint(IPAddress.Loopback, 0), backlog: 0);
        using var first = await FillAsync(full);
        using var cancellation = new CancellationTokenSource();
        var connecting = Factory().ConnectAsync(full.LocalEndPoint!, cancellation.Token).AsTask();

        await cancellation.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => connecting.InTimeAsync());
    }

    // So an endpoint for any address tells the address of an IPv4 peer.
    [Theory]
    [InlineData(null)]
    [InlineData("127.0.0.1")]
    public async Task AddressIsIPv4MappedToIPv6_Connects(string? localAddress)
    {
        var port = ((IPEndPoint)_listener.LocalEndPoint!).Port;
        var mapped = new IPEndPoint(IPAddress.Loopback.MapToIPv6(), port);
        await using var connection = await ConnectAsync(mapped, services => services.Configure<OutgoingConnectionOptions>(
            options => options.LocalEndPoint = localAddress is null ? null : new IPEndPoint(IPAddress.Parse(localAddress), 0)));
        await using var peer = await AcceptAsync();

        await connection.SendAsync(1);

        Assert.Single(await peer.ReadExactlyAsync(1));
        peer.HalfClose();
    }

    [Fact]
    public async Task ManyConnectsAndCloses_EverySocketIsClosed()
    {
        var factory = Factory();
        for (var i = 0; i < 300; i++)
        {
            var connection = await factory.ConnectAsync(_listener.LocalEndPoint!, CancellationToken.None)
                .AsTask().InTimeAsync();
            await using var peer = await AcceptAsync();
            peer.HalfClose();
            await connection.DisposeAsync().AsTask().InTimeAsync();
            Assert.True(connection.Features.Get<IConnectionSocketFeature>()!.Socket.SafeHandle.IsClosed);
        }
    }

    private static Socket Listen(IPEndPoint endPoint, int backlog = 512)
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(endPoint);
        listener.Listen(backlog);
        return listener;
    }

    private static async Task<Socket> FillAsync(Socket listener)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(listener.LocalEndPoint!, CancellationToken.None).AsTask().InTimeAsync();
        return socket;
    }

    private static async Task Signalled(CancellationToken token)
    {
        var signalled = new TaskCompletionSource();
        await using var registration = token.Register(signalled.SetResult);
        await signalled.Task;
    }

    private IConnectionFactory Factory(Action<IServiceCollection>? configure = null)
    {
        var services = new ServiceCollection().AddGracefulConnectionFactory();
        configure?.Invoke(services);
        _services = services.BuildServiceProvider();
        return _services.GetRequiredService<IConnectionFactory>();
    }

    private Task<ConnectionContext> ConnectAsync(EndPoint endPoint, Action<IServiceCollection>? configure = null) =>
        Factory(configure).ConnectAsync(endPoint, CancellationToken.None).AsTask().InTimeAsync();

    private async Task<ScriptedPeer> AcceptAsync() => new(await _listener.AcceptAsync(CancellationToken.None).AsTask().InTimeAsync());

    private sealed class TlsTransport(SslStream tls) : IDuplexPipe
    {
        public PipeReader Input { get; } = PipeReader.Create(tls, new StreamPipeReaderOptions(leaveOpen: true));

        public PipeWriter Output { get; } = PipeWriter.Create(tls, new StreamPipeWriterOptions(leaveOpen: true));
    }
}
