using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Support;

/// <summary>Two connected sockets on this machine, where only a kernel can tell.</summary>
internal sealed class SocketPair : IDisposable
{
    private SocketPair(Socket own, Socket peer) => (Own, Peer) = (own, peer);

    public Socket Own { get; }

    public Socket Peer { get; }

    public static Task<SocketPair> ConnectAsync(bool isUnix = false) => ConnectAsync(isUnix
        ? new UnixDomainSocketEndPoint(Path.Combine(Path.GetTempPath(), $"graceful-{Guid.NewGuid():N}.sock"))
        : new IPEndPoint(IPAddress.Loopback, 0));

    public static Task<SocketPair> ConnectAsync(IPAddress address) => ConnectAsync(new IPEndPoint(address, 0));

    /// <summary>Connects by TCP over several paths. <see langword="null"/> where the kernel has none.</summary>
    public static async Task<SocketPair?> TryConnectMptcpAsync()
    {
        const int InterNetwork = 2;
        const int Stream = 1 | 0x80000; // SOCK_STREAM | SOCK_CLOEXEC.
        const int Mptcp = 262;
        if (!OperatingSystem.IsLinux() || CreateSocket(InterNetwork, Stream, Mptcp) is not (>= 0 and var first))
        {
            return null;
        }

        using var listener = new Socket(new SafeSocketHandle(first, ownsHandle: true));
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        var peer = new Socket(new SafeSocketHandle(CreateSocket(InterNetwork, Stream, Mptcp), ownsHandle: true));
        await peer.ConnectAsync(listener.LocalEndPoint!).WithinLimit();
        return new SocketPair(await listener.AcceptAsync().WithinLimit(), peer);

        [DllImport("libc", EntryPoint = "socket")]
        static extern int CreateSocket(int domain, int type, int protocol);
    }

    private static async Task<SocketPair> ConnectAsync(EndPoint endPoint)
    {
        using var listener = Create();
        listener.Bind(endPoint);
        listener.Listen();
        var peer = Create();
        await peer.ConnectAsync(listener.LocalEndPoint!).WithinLimit();
        return new SocketPair(await listener.AcceptAsync().WithinLimit(), peer);

        Socket Create() => endPoint.AddressFamily == AddressFamily.Unix
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    }

    /// <summary>Sends until the kernels on both sides take no more and nothing moves.</summary>
    /// <returns>The number of bytes that were sent.</returns>
    public long FillOwn()
    {
        var chunk = new byte[65536];
        var one = new byte[1];
        var sent = 0L;
        for (var (before, length) = (-1, 0); before != length || length == 0;)
        {
            Own.Blocking = false;
            int count;
            do
            {
                count = Own.Send(chunk, SocketFlags.None, out _);
                sent += count;
            }
            while (count > 0);

            Own.Blocking = true;
            Peer.Send(one); // Brings the newest acknowledgement.
            Own.Receive(one);
            before = length;
            length = SocketQueue.GetSendLength(Own);
        }

        return sent;
    }

    /// <summary>The peer reads, and as much is sent again, until the send queue has the same length as before.</summary>
    /// <returns>The number of bytes that the peer has read.</returns>
    public async Task<long> RefillAsync(int length)
    {
        var read = 0L;
        var buffer = new byte[65536];
        await TestLimit.UntilAsync(() => (read += Peer.Receive(buffer)) > 1_000_000 && SocketQueue.GetSendLength(Own) < length);
        Own.Blocking = false;
        await TestLimit.UntilAsync(() =>
        {
            Own.Send(buffer.AsSpan(0, Math.Clamp(length - SocketQueue.GetSendLength(Own), 0, 1000)), SocketFlags.None, out _);
            return SocketQueue.GetSendLength(Own) == length;
        });
        Own.Blocking = true;
        return read;
    }

    /// <summary>The peer reads until our FIN, which must come behind so many bytes.</summary>
    public async Task ReadPeerToEndAsync(long expected)
    {
        var buffer = new byte[65536];
        var read = 0L;
        int count;
        while ((count = await Peer.ReceiveAsync(buffer).WithinLimit()) > 0)
        {
            read += count;
        }

        Assert.Equal(expected, read);
    }

    /// <summary>The peer sends RST, also after its FIN.</summary>
    public void ResetByPeer() => Peer.Close(0);

    public void Dispose()
    {
        Own.Dispose();
        Peer.Dispose();
    }
}
