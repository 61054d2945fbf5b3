using System.Net.Security;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>A peer's TLS, whose records can be kept back so that a test sends a part of one.</summary>
internal sealed class HeldTls : IAsyncDisposable
{
    private readonly HoldingStream _below;
    private readonly SslStream _tls;

    private HeldTls(Socket socket)
    {
        _below = new HoldingStream(socket);
        _tls = new SslStream(_below);
    }

    /// <summary>Shakes hands, and reads from then on.</summary>
    public static async Task GreetAsync(HabitPeer peer)
    {
        var held = new HeldTls(peer.Socket);
        await held._tls.AuthenticateAsClientAsync(TestCertificate.TrustingOptions).InTimeAsync();
        peer.Tls = held;
        peer.StartReading(held._tls);
    }

    public Task SendAsync(ReadOnlyMemory<byte> plaintext) => _tls.WriteAsync(plaintext).AsTask().InTimeAsync();

    /// <summary>Returns the record that would carry <paramref name="plaintext"/>, and sends nothing of it.</summary>
    public async Task<byte[]> EncryptAsync(ReadOnlyMemory<byte> plaintext)
    {
        _below.Held = new MemoryStream();
        await SendAsync(plaintext);
        var record = _below.Held.ToArray();
        _below.Held = null;
        return record;
    }

    public async ValueTask DisposeAsync()
    {
        await _tls.DisposeAsync();
        await _below.DisposeAsync();
    }

    private sealed class HoldingStream(Socket socket) : NetworkStream(socket, ownsSocket: false)
    {
        public MemoryStream? Held { get; set; }

        public override ValueTask WriteAsync(
            ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
            Held?.WriteAsync(buffer, cancellationToken) ?? base.WriteAsync(buffer, cancellationToken);
    }
}
