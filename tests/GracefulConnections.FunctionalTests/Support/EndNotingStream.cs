using System.Net.Sockets;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>A socket's stream that remembers whether its end was read, which tells the one who decrypts it close_notify from an end without it.</summary>
internal sealed class EndNotingStream(Socket socket) : NetworkStream(socket, ownsSocket: false)
{
    public bool EndSeen { get; private set; }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var received = await base.ReadAsync(buffer, cancellationToken);
        EndSeen |= received == 0 && buffer.Length > 0;
        return received;
    }
}
