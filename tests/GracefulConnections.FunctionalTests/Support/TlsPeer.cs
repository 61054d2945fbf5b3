using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>The other end of a TLS connection, with both of its layers in hand.</summary>
internal sealed class TlsPeer : IAsyncDisposable
{
    private readonly EndNotingStream _below;

    private TlsPeer(ScriptedPeer tcp)
    {
        Tcp = tcp;
        _below = new EndNotingStream(tcp.Socket);
        Tls = new SslStream(_below);
    }

    /// <summary>Gets the TCP connection. What is sent and received there is not plaintext.</summary>
    public ScriptedPeer Tcp { get; }

    public SslStream Tls { get; }

    /// <summary>Connects a peer and shakes hands.</summary>
    public static Task<TlsPeer> ConnectAsync(
        TestServer server, SslProtocols protocol = SslProtocols.None, Action<Socket>? configure = null, Action<SslClientAuthenticationOptions>? authenticate = null) =>
        ConnectAsync(server.EndPoint, protocol, configure, authenticate);

    /// <summary>Connects a peer and shakes hands.</summary>
    public static async Task<TlsPeer> ConnectAsync(
        EndPoint endPoint, SslProtocols protocol = SslProtocols.None, Action<Socket>? configure = null, Action<SslClientAuthenticationOptions>? authenticate = null)
    {
        var peer = new TlsPeer(await ScriptedPeer.ConnectAsync(endPoint, configure));
        var options = TestCertificate.TrustingOptions;
        options.EnabledSslProtocols = protocol;
        authenticate?.Invoke(options);
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        await peer.Tls.AuthenticateAsClientAsync(options, limit.Token);
        return peer;
    }

    /// <summary>Sends until it is enough, and once more: so that something comes behind whatever the caller has seen.</summary>
    public async Task UploadAsync(CancellationToken enough)
    {
        var bytes = new byte[ScriptedPeer.UploadChunkBytes];
        bool isLast;
        do
        {
            isLast = enough.IsCancellationRequested;
            await SendAsync(bytes);
        }
        while (!isLast);
    }

    public async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        await Tls.WriteAsync(bytes, limit.Token);
    }

    /// <summary>Receives so many bytes of plaintext and no more.</summary>
    public async Task ReadExactlyAsync(int count)
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        await Tls.ReadExactlyAsync(new byte[count], limit.Token);
    }

    /// <summary>Receives plaintext until its end.</summary>
    public async Task<(long Bytes, TlsPeerSaw End)> ReadToEndAsync()
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        var buffer = new byte[64 * 1024];
        long bytes = 0;
        try
        {
            while (await Tls.ReadAsync(buffer, limit.Token) is > 0 and var received)
            {
                PoisoningMemoryPool.ThrowIfPoisoned(buffer.AsSpan(0, received));
                bytes += received;
            }
        }
        catch (IOException exception) when (exception.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionReset or SocketError.Shutdown })
        {
            return (bytes, TlsPeerSaw.Reset);
        }

        return (bytes, _below.EndSeen ? TlsPeerSaw.Eof : TlsPeerSaw.CloseNotify);
    }

    /// <summary>Sends close_notify and goes on reading.</summary>
    public Task SendCloseNotifyAsync() => Tls.ShutdownAsync().WaitAsync(TestServer.TestLimit);

    public async ValueTask DisposeAsync()
    {
        await Tls.DisposeAsync();
        await _below.DisposeAsync();
        await Tcp.DisposeAsync();
    }
}
