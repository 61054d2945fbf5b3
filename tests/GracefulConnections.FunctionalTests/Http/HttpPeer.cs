using System.Net.Security;
using System.Net.Sockets;
using System.Text;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>A peer that writes its requests by hand, with or without TLS, so that a test decides about every byte and sees FIN and RST.</summary>
internal sealed class HttpPeer : IAsyncDisposable
{
    private const string EndOfHead = "\r\n\r\n";

    private readonly ScriptedPeer _raw;
    private readonly Stream _stream;
    private readonly byte[] _buffer = new byte[64 * 1024];
    private int _start;
    private int _end;
    private bool _hasEnded;

    private HttpPeer(ScriptedPeer raw, Stream stream)
    {
        _raw = raw;
        _stream = stream;
    }

    /// <summary>Connects a peer, and shakes hands where there is TLS.</summary>
    public static async Task<HttpPeer> ConnectAsync(TestServer server, TlsPlacement placement, SslApplicationProtocol? protocol = null)
    {
        var raw = await server.ConnectAsync();
        Stream stream = new NetworkStream(raw.Socket, ownsSocket: false);
        if (placement != TlsPlacement.Plaintext)
        {
            var options = TestCertificate.TrustingOptions;
            options.ApplicationProtocols = protocol is { } value ? [value] : null;
            var tls = new SslStream(stream);
            await tls.AuthenticateAsClientAsync(options).InTimeAsync();
            stream = tls;
        }

        return new HttpPeer(raw, stream);
    }

    /// <summary>Sends a request's head, or a part of it.</summary>
    public Task SendAsync(string text) => SendAsync(Encoding.ASCII.GetBytes(text));

    public async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        await _stream.WriteAsync(bytes, limit.Token);
        await _stream.FlushAsync(limit.Token);
    }

    /// <summary>Sends a request and reads its answer.</summary>
    public async Task<HttpAnswer> AskAsync(string request)
    {
        await SendAsync(request);
        return await ReadAnswerAsync();
    }

    /// <summary>Reads one answer, all of its body included.</summary>
    public async Task<HttpAnswer> ReadAnswerAsync()
    {
        var head = new StringBuilder();
        while (!head.ToString().EndsWith(EndOfHead, StringComparison.Ordinal))
        {
            head.Append((char)(await ReadExactlyAsync(1))[0]);
        }

        var answer = HttpAnswer.ParseHead(head.ToString());
        return answer with { Body = await ReadExactlyAsync(answer.GetLength()) };
    }

    public async Task<byte[]> ReadExactlyAsync(int count)
    {
        var bytes = new byte[count];
        for (var read = 0; read < count;)
        {
            if (_start == _end)
            {
                using var limit = new CancellationTokenSource(TestServer.TestLimit);
                (_start, _end) = (0, await _stream.ReadAsync(_buffer, limit.Token));
                Assert.True(_end > 0, $"The end came after {read} of {count} bytes.");
            }

            var part = Math.Min(count - read, _end - _start);
            _buffer.AsSpan(_start, part).CopyTo(bytes.AsSpan(read));
            _start += part;
            read += part;
        }

        return bytes;
    }

    /// <summary>
    /// Reads until the server's end, then ends this half too, and reads on until TCP's end. In this order: the server's end must not wait for the peer's. Inside of TLS
    /// the first end is close_notify, and TCP's own comes once it was answered.
    /// </summary>
    /// <returns>The bytes that nobody had read yet, and how TCP ended.</returns>
    public async Task<(long Bytes, PeerSaw End)> ReadToEndAsync()
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        long bytes = _end - _start;
        try
        {
            int read;
            while ((read = await _stream.ReadAsync(_buffer, limit.Token)) > 0)
            {
                bytes += read;
            }
        }
        catch (IOException exception) when (exception.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionReset })
        {
            return (bytes, PeerSaw.Reset);
        }

        await HalfCloseAsync();
        return (bytes, (await _raw.ReadToEndAsync()).End);
    }

    /// <summary>Says that there is no more, on every layer, and goes on reading.</summary>
    public async Task HalfCloseAsync()
    {
        if (_hasEnded)
        {
            return;
        }

        _hasEnded = true;
        if (_stream is SslStream tls)
        {
            await tls.ShutdownAsync().InTimeAsync();
        }

        _raw.HalfClose();
    }

    /// <summary>Ends with FIN: closes with nothing unread.</summary>
    public void Close() => _raw.Socket.Close();

    /// <summary>Ends with RST.</summary>
    public void Reset() => _raw.Reset();

    public async ValueTask DisposeAsync()
    {
        await _raw.DisposeAsync();
        await _stream.DisposeAsync();
    }
}
