using System.IO.Pipelines;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.FunctionalTests.Outgoing;

/// <summary><c>RelayAsync</c> between a peer of Kestrel's and a plain socket, on memory that is poisoned when it is given back.</summary>
public sealed class RelayAsyncTests : IDisposable
{
    private const int VolumeBytes = 20_000_000;

    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly TaskCompletionSource<RelayResult> _relayed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly RelayCounters _counters = new();

    public RelayAsyncTests()
    {
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen();
    }

    public void Dispose() => _listener.Dispose();

    [Fact]
    public async Task BothWaysAtOnce_ArriveAsTheyWereSent()
    {
        await using var server = await StartAsync();
        var (peer, upstream) = await ConnectAsync(server);

        var sent = await Task.WhenAll(SendAsync(peer, 1), SendAsync(upstream, 2), HashAsync(upstream), HashAsync(peer)).InTimeAsync();

        Assert.Equal((sent[0], sent[1]), (sent[2], sent[3]));
        var result = await _relayed.Task.InTimeAsync();
        Assert.Equal(
            (RelayOutcome.Completed, VolumeBytes, VolumeBytes),
            (result.Outcome, result.BytesToUpstream, result.BytesFromUpstream));
        Assert.Equal(
            (0L, 1L, (long)VolumeBytes, (long)VolumeBytes, 0L),
            (_counters.Active, _counters.Total, _counters.BytesToUpstream, _counters.BytesFromUpstream, _counters.Resets));
        peer.Dispose();
        upstream.Dispose();
    }

    [Fact]
    public async Task MaxBufferedBytes_SmallerThanWhatWasRead_ArrivesAsItWasSent()
    {
        await using var server = await StartAsync(new RelayOptions { MaxBufferedBytes = 4096 });
        var (peer, upstream) = await ConnectAsync(server);
        upstream.Shutdown(SocketShutdown.Send);

        var sent = await Task.WhenAll(SendAsync(peer, 1), HashAsync(upstream), HashAsync(peer)).InTimeAsync();

        Assert.Equal(sent[0], sent[1]);
        Assert.Equal(RelayOutcome.Completed, (await _relayed.Task.InTimeAsync()).Outcome);
        peer.Dispose();
        upstream.Dispose();
    }

    [Fact]
    public async Task PeerResets_UpstreamIsReset()
    {
        await using var server = await StartAsync();
        var (socket, accepted) = await ConnectAsync(server);
        await using var peer = new ScriptedPeer(socket);
        await using var upstream = new ScriptedPeer(accepted);
        await peer.SendAsync(new byte[1]);
        await upstream.ReadExactlyAsync(1);

        peer.Reset();

        Assert.Equal((0, PeerSaw.Reset), await upstream.ReadToEndAsync());
        Assert.Equal(RelayOutcome.PeerReset, (await _relayed.Task.InTimeAsync()).Outcome);
        Assert.Equal(1, _counters.Resets);
    }

    [Fact]
    public async Task UpstreamResets_PeerIsReset()
    {
        await using var server = await StartAsync();
        var (socket, accepted) = await ConnectAsync(server);
        await using var peer = new ScriptedPeer(socket);
        await using var upstream = new ScriptedPeer(accepted);

        await peer.SendAsync(new byte[1]); // Else the reset may come while the server still connects.
        await upstream.ReadExactlyAsync(1);

        upstream.Reset();

        var saw = await peer.ReadToEndAsync();
        Assert.Equal(RelayOutcome.UpstreamReset, (await _relayed.Task.InTimeAsync()).Outcome);
        Assert.Equal((0, PeerSaw.Reset), saw);
    }

    // The upstream stores what ends by FIN. A part of an upload must not look like that.
    [Fact]
    public async Task CloseRequested_RequestIsUnanswered_UpstreamIsReset()
    {
        await using var server = await StartAsync();
        var (socket, accepted) = await ConnectAsync(server);
        await using var peer = new ScriptedPeer(socket);
        await using var upstream = new ScriptedPeer(accepted);
        await peer.SendAsync(new byte[1000]);
        await upstream.ReadExactlyAsync(1000);

        await server.StopAsync();

        Assert.Equal((0, PeerSaw.Reset), await upstream.ReadToEndAsync());
        Assert.Equal(RelayOutcome.CutOff, (await _relayed.Task.InTimeAsync()).Outcome);
    }

    [Fact]
    public async Task CloseRequested_RequestWasAnswered_UpstreamGetsFinAndItsLastBytesGoThrough()
    {
        await using var server = await StartAsync();
        var (socket, accepted) = await ConnectAsync(server);
        await using var peer = new ScriptedPeer(socket);
        await using var upstream = new ScriptedPeer(accepted);
        await peer.SendAsync(new byte[1000]);
        await upstream.ReadExactlyAsync(1000);
        await upstream.SendAsync(new byte[2000]);
        await peer.ReadExactlyAsync(2000);

        var stopping = server.StopAsync();

        Assert.Equal((0, PeerSaw.Eof), await upstream.ReadToEndAsync());
        await upstream.SendAsync(new byte[3000]);
        upstream.HalfClose();
        Assert.Equal((3000, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        Assert.Equal(RelayOutcome.CloseRequested, (await _relayed.Task.InTimeAsync()).Outcome);
        await stopping.InTimeAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ReceiverTakesNothing_SenderIsHeldUpAndItsResetIsPassedOn(bool fromPeer)
    {
        await using var server = await StartAsync();
        var (socket, accepted) = await ConnectAsync(server);
        await using var peer = new ScriptedPeer(socket);
        await using var upstream = new ScriptedPeer(accepted);
        var (sender, receiver) = fromPeer ? (peer, upstream) : (upstream, peer);
        await sender.SendUntilBlockedAsync();

        sender.Reset();

        await receiver.SendUntilResetAsync();
        Assert.Equal(
            fromPeer ? RelayOutcome.PeerReset : RelayOutcome.UpstreamReset,
            (await _relayed.Task.InTimeAsync()).Outcome);
    }

    // The end of the peer's input makes the relay look whether that was a reset, while TLS has sent a part of what the
    // upstream does not take.
    [Fact]
    public async Task PeerEnds_UpstreamIsInsideOfTlsAndSlow_ArrivesAsItWasSent()
    {
        const int uploadBytes = 800_000; // Fits into the server's buffer, so that it sees FIN behind all of it.
        _listener.ReceiveBufferSize = 16 * 1024;
        var peerEnded = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await StartAsync(use: async (connection, upstream) =>
        {
            var tls = new SslStream(new NetworkStream(upstream.Features.Get<IConnectionSocketFeature>()!.Socket));
            await tls.AuthenticateAsClientAsync(TestCertificate.TrustingOptions);
            upstream.Transport = new StreamTransport(tls);
            connection.ConnectionClosed.Register(peerEnded.SetResult); // Behind the relay's own.
        });
        var (peer, accepted) = await ConnectAsync(server);
        await using var upstream = new SslStream(new NetworkStream(accepted, ownsSocket: true));
        await upstream.AuthenticateAsServerAsync(TestCertificate.Server).InTimeAsync();
        var bytes = new byte[uploadBytes];
        new Random(1).NextBytes(bytes);
        await peer.SendAsync(bytes, SocketFlags.None, CancellationToken.None).AsTask().InTimeAsync();

        peer.Shutdown(SocketShutdown.Send);

        await peerEnded.Task.InTimeAsync();
        var received = new byte[uploadBytes];
        await upstream.ReadExactlyAsync(received, CancellationToken.None).AsTask().InTimeAsync();
        Assert.Equal(bytes, received);
        peer.Dispose();
    }

    // Its reset is found by the reply that it does not wait for. What it had sent before, and its FIN, are still on their
    // way to an upstream that takes its time.
    [Fact]
    public async Task PeerEndsAndIsGone_UpstreamIsSlow_GetsEverythingAndTheEnd()
    {
        const int uploadBytes = 800_000; // Fits into the server's buffer, so that it sees FIN behind all of it.
        _listener.ReceiveBufferSize = 16 * 1024;
        var peerEnded = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await StartAsync(use: (connection, _) =>
        {
            connection.ConnectionClosed.Register(peerEnded.SetResult);
            return Task.CompletedTask;
        });
        var (socket, accepted) = await ConnectAsync(server);
        await using var peer = new ScriptedPeer(socket);
        await using var upstream = new ScriptedPeer(accepted);
        await peer.SendAsync(new byte[uploadBytes]);
        peer.HalfClose();
        await peerEnded.Task.InTimeAsync();
        peer.Reset();

        await upstream.SendAsync(new byte[1]);
        Assert.Equal(CloseOutcome.PeerReset, (await server.NextResultAsync()).Outcome);

        Assert.Equal((uploadBytes, PeerSaw.Eof), await upstream.ReadToEndAsync());
        var result = await _relayed.Task.InTimeAsync();
        Assert.Equal((RelayOutcome.PeerReset, uploadBytes), (result.Outcome, result.BytesToUpstream));
    }

    // Nobody is told that everything came which the peer had sent, so nothing else would end this.
    [Fact]
    public async Task PeerEndsAndIsGone_UpstreamTakesNothing_IsResetAtFlushStallTimeout()
    {
        const int uploadBytes = 800_000;
        _listener.ReceiveBufferSize = 16 * 1024;
        var peerEnded = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await StartAsync(
            use: (connection, _) =>
            {
                connection.ConnectionClosed.Register(peerEnded.SetResult);
                return Task.CompletedTask;
            },
            close: static close => close.FlushStallTimeout = TimeSpan.FromSeconds(1));
        var (socket, accepted) = await ConnectAsync(server);
        await using var peer = new ScriptedPeer(socket);
        await using var upstream = new ScriptedPeer(accepted);
        await peer.SendAsync(new byte[uploadBytes]);
        peer.HalfClose();
        await peerEnded.Task.InTimeAsync();
        peer.Reset();
        await upstream.SendAsync(new byte[1]);

        var result = await _relayed.Task.InTimeAsync();

        Assert.Equal(RelayOutcome.PeerReset, result.Outcome);
        var (received, end) = await upstream.ReadToEndAsync();
        Assert.Equal(PeerSaw.Reset, end);
        Assert.InRange(received, 0, uploadBytes - 1);
    }

    // An answer to an upload that goes on. The peer takes its time, so that a part waits unread in the kernel when a send
    // finds the upstream's reset.
    [Fact]
    public async Task UpstreamAnswersEndsAndIsGone_PeerIsSlow_GetsTheWholeAnswer()
    {
        const int answerBytes = 120_000; // More than the peer's side takes, and not more than the receive window.
        ConnectionContext made = null!;
        await using var server = await StartAsync(use: (connection, upstream) =>
        {
            connection.Features.Get<IConnectionSocketFeature>()!.Socket.SendBufferSize = 16 * 1024;
            made = upstream;
            return Task.CompletedTask;
        });
        var (socket, accepted) = await ConnectAsync(server, receiveBufferSize: 16 * 1024);
        await using var peer = new ScriptedPeer(socket);
        await using var upstream = new ScriptedPeer(accepted);
        await upstream.SendAsync(new byte[answerBytes]);
        upstream.HalfClose();
        await Eventually.IsTrueAsync(() => KernelSocket.OnPort(((IPEndPoint)_listener.LocalEndPoint!).Port)
            .Any(static socket => socket.State == KernelSocket.FinWait2)); // All of it has been acknowledged.
        upstream.Socket.Close();

        await Eventually.IsTrueAsync(() => peer.Socket.Send(new byte[1]) > 0
            && made.Features.Get<IGracefulCloseFeature>() is { Closed.IsCompleted: true }); // The reset was seen.

        Assert.Equal((answerBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        var result = await _relayed.Task.InTimeAsync();
        Assert.Equal((RelayOutcome.UpstreamReset, answerBytes), (result.Outcome, result.BytesFromUpstream));
    }

    // Nobody reads there any more, and nothing else tells of the reset by which the one byte is answered.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task OneEndsAndIsGone_OneMoreByteOfTheOthers_TheOtherIsReset(bool isPeerGone)
    {
        await using var server = await StartAsync();
        var (socket, accepted) = await ConnectAsync(server);
        await using var peer = new ScriptedPeer(socket);
        await using var upstream = new ScriptedPeer(accepted);
        var (gone, other) = isPeerGone ? (peer, upstream) : (upstream, peer);
        await gone.SendAsync(new byte[1]);
        gone.HalfClose();
        Assert.Equal((1, PeerSaw.Eof), await other.ReadToEndAsync());
        gone.Socket.Dispose();

        await other.SendAsync(new byte[1]);

        await Eventually.IsTrueAsync(() => other.Socket.Poll(0, SelectMode.SelectError));
        Assert.Equal(
            isPeerGone ? RelayOutcome.PeerReset : RelayOutcome.UpstreamReset,
            (await _relayed.Task.InTimeAsync()).Outcome);
    }

    // One direction alone would go on for as long as both peers stay.
    [Fact]
    public async Task SomebodyElseReadsAsWell_BothAreResetAndTheHandlerIsTold()
    {
        var isConnected = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await StartAsync(use: async (connection, upstream) =>
        {
            await isConnected.Task.InTimeAsync(); // Else the reset may come before the peer's connect has returned.
            _ = connection.Transport.Input.ReadAsync(CancellationToken.None).AsTask();
        });
        var (socket, accepted) = await ConnectAsync(server);
        isConnected.SetResult();
        await using var peer = new ScriptedPeer(socket);
        await using var upstream = new ScriptedPeer(accepted);

        await Assert.ThrowsAsync<InvalidOperationException>(() => _relayed.Task.InTimeAsync());

        Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());
        Assert.Equal((0, PeerSaw.Reset), await upstream.ReadToEndAsync());
        Assert.Equal((0L, 1L), (_counters.Active, _counters.Resets));
    }

    [Fact]
    public async Task MaxBufferedBytes_OutOfRange_NamesTheRule()
    {
        await using var connection = new DefaultConnectionContext();

        var exception = await Assert.ThrowsAsync<ArgumentOutOfRangeException>(
            "options", () => connection.RelayAsync(connection, new RelayOptions { MaxBufferedBytes = 4095 }, CancellationToken.None));

        Assert.Contains("RelayOptions: MaxBufferedBytes must be at least 4096 bytes.", exception.Message, StringComparison.Ordinal);
        Assert.Equal(4095, exception.ActualValue);
    }

    private Task<TestServer> StartAsync(
        RelayOptions? options = null,
        Func<ConnectionContext, ConnectionContext, Task>? use = null,
        Action<GracefulCloseOptions>? close = null)
    {
        options ??= new RelayOptions();
        options.Counters = _counters;
        IConnectionFactory? factory = null;
        return TestServer.StartAsync(
            async connection =>
            {
                try
                {
                    await using var upstream = await factory!.ConnectAsync(_listener.LocalEndPoint!, CancellationToken.None);
                    await (use?.Invoke(connection, upstream) ?? Task.CompletedTask);
                    _relayed.SetResult(await connection.RelayAsync(upstream, options, CancellationToken.None));
                }
                catch (Exception exception)
                {
                    _relayed.TrySetException(exception); // Else the test would only learn that nothing came.
                    throw;
                }
            },
            closing =>
            {
                closing.MessageGap = TimeSpan.FromMilliseconds(100);
                close?.Invoke(closing);
            },
            builder => builder.Services.AddGracefulConnectionFactory(
                outgoing => outgoing.SendBufferSize = use is null ? null : 32 * 1024))
            .ContinueWith(
                started =>
                {
                    factory = started.Result.Services.GetRequiredService<IConnectionFactory>();
                    return started.Result;
                },
                TaskScheduler.Default);
    }

    private async Task<(Socket Peer, Socket Upstream)> ConnectAsync(TestServer server, int? receiveBufferSize = null)
    {
        var peer = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        if (receiveBufferSize is { } size)
        {
            peer.ReceiveBufferSize = size;
        }

        await peer.ConnectAsync(server.EndPoint, CancellationToken.None).AsTask().InTimeAsync();
        return (peer, await _listener.AcceptAsync(CancellationToken.None).AsTask().InTimeAsync());
    }

    private static async Task<string> SendAsync(Socket socket, int seed)
    {
        var bytes = new byte[VolumeBytes];
        new Random(seed).NextBytes(bytes);
        for (var sent = 0; sent < bytes.Length;)
        {
            sent += await socket.SendAsync(bytes.AsMemory(sent), SocketFlags.None, CancellationToken.None);
        }

        socket.Shutdown(SocketShutdown.Send);
        return Convert.ToHexString(SHA256.HashData(bytes));
    }

    // Not by a NetworkStream, which takes no socket that has sent FIN.
    private static async Task<string> HashAsync(Socket socket)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[65536];
        while (await socket.ReceiveAsync(buffer, SocketFlags.None, CancellationToken.None) is var count and > 0)
        {
            hash.AppendData(buffer, 0, count);
        }

        return Convert.ToHexString(hash.GetHashAndReset());
    }

    private sealed class StreamTransport(Stream stream) : IDuplexPipe
    {
        public PipeReader Input { get; } = PipeReader.Create(stream);

        public PipeWriter Output { get; } = PipeWriter.Create(stream);
    }
}
