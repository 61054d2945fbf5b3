using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Tests.Support;

/// <summary>Two connected sockets on this machine, where only a kernel can tell.</summary>
internal sealed class SocketPair : IDisposable
{
    private SocketPair(Socket own, Socket peer) => (Own, Peer) = (own, peer);

    public Socket Own { get; }

    public Socket Peer { get; }

    public static async Task<SocketPair> ConnectAsync(bool isUnix = false)
    {
        var path = Path.Combine(Path.GetTempPath(), $"graceful-{Guid.NewGuid():N}.sock");
        EndPoint endPoint = isUnix ? new UnixDomainSocketEndPoint(path) : new IPEndPoint(IPAddress.Loopback, 0);
        using var listener = Create();
        listener.Bind(endPoint);
        listener.Listen();
        var peer = Create();
        await peer.ConnectAsync(listener.LocalEndPoint!).WithinLimit();
        return new SocketPair(await listener.AcceptAsync().WithinLimit(), peer);

        Socket Create() => isUnix ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) : new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    }

    /// <summary>The peer sends RST, also after its FIN.</summary>
    public void ResetByPeer() => Peer.Close(0);

    public void Dispose()
    {
        Own.Dispose();
        Peer.Dispose();
    }
}
