using System.Net.Sockets;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>A socket's stream that keeps every byte that it received.</summary>
internal sealed class TapStream(Socket socket) : NetworkStream(socket, ownsSocket: false)
{
    private readonly MemoryStream _received = new();

    public byte[] Received => _received.ToArray();

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var received = await base.ReadAsync(buffer, cancellationToken);
        _received.Write(buffer.Span[..received]);
        return received;
    }
}
