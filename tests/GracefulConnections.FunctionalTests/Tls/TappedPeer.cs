using System.Net.Security;
using System.Text;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>The other end of a TLS connection, which keeps what it received below TLS.</summary>
internal sealed class TappedPeer : IAsyncDisposable
{
    private readonly ScriptedPeer _tcp;
    private readonly TapStream _tap;
    private readonly SslStream _tls;
    private readonly StringBuilder _plaintext = new();

    private TappedPeer(ScriptedPeer tcp)
    {
        _tcp = tcp;
        _tap = new TapStream(tcp.Socket);
        _tls = new SslStream(_tap);
    }

    /// <summary>Gets what it received below TLS.</summary>
    public byte[] Received => _tap.Received;

    /// <summary>Gets whether the last read ended with RST, or in the middle of a record.</summary>
    public bool WasCutOff { get; private set; }

    public static async Task<TappedPeer> ConnectAsync(TestServer server)
    {
        var peer = new TappedPeer(await server.ConnectAsync());
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        await peer._tls.AuthenticateAsClientAsync(TestCertificate.TrustingOptions, limit.Token);
        return peer;
    }

    public async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        await _tls.WriteAsync(bytes, limit.Token);
    }

    /// <summary>Receives plaintext until <paramref name="text"/> is there.</summary>
    public async Task ReadUntilAsync(string text)
    {
        while (!_plaintext.ToString().Contains(text, StringComparison.Ordinal))
        {
            Assert.True(await ReadOnceAsync(_tls) > 0, $"The end came before \"{text}\".");
        }
    }

    /// <summary>Receives plaintext until its end, then half-closes and receives the rest below TLS until its end.</summary>
    /// <returns>The plaintext.</returns>
    public async Task<string> ReadToEndAsync()
    {
        try
        {
            while (await ReadOnceAsync(_tls) > 0)
            {
            }

            _tcp.HalfClose();
            var plaintext = _plaintext.ToString();
            while (await ReadOnceAsync(_tap) > 0)
            {
            }

            return plaintext;
        }
        catch (IOException)
        {
            WasCutOff = true;
            return _plaintext.ToString();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _tls.DisposeAsync();
        await _tap.DisposeAsync();
        await _tcp.DisposeAsync();
    }

    private async Task<int> ReadOnceAsync(Stream stream)
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        var buffer = new byte[16 * 1024];
        var received = await stream.ReadAsync(buffer, limit.Token);
        _plaintext.Append(Encoding.Latin1.GetString(buffer, 0, received));
        return received;
    }
}
