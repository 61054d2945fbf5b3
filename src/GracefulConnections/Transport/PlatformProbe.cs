using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Transport;

/// <summary>
/// Whether the kernel's answers about its queues can be trusted on this machine. Found out once for a process by a
/// connection to itself, because the name of the operating system does not tell it.
/// </summary>
/// <param name="TrustsSendQueue">
/// The send queue shrinks to 0 with the peer's acknowledgements, counts our FIN, and keeps what was unacknowledged
/// after a reset.
/// </param>
/// <param name="TrustsTcpInfo">The fields of TCP_INFO that are used here move as they should.</param>
internal sealed record PlatformProbe(bool TrustsSendQueue, bool TrustsTcpInfo)
{
    private const int Attempts = 3; // A busy machine may let an acknowledgement fall between two looks.
    private const int MaxRounds = 100;
    private const int BufferBytes = 16 * 1024;

    // Far beyond what a connection to the same machine needs. Reaching it means that the answers are not trusted.
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(1);

    // The kernel connects a machine to itself inside of the call. Only a firewall lets it wait, and then in vain.
    private static readonly TimeSpan ConnectLimit = TimeSpan.FromMilliseconds(250);

    private static readonly Lazy<PlatformProbe> LazyCurrent = new(static () => Run(TryRun));

    /// <summary>Gets a platform that tells nothing, so that delivered means handed to the kernel.</summary>
    public static PlatformProbe Nothing { get; } = new(TrustsSendQueue: false, TrustsTcpInfo: false);

    /// <summary>
    /// Gets what holds for this process. The first call takes a few milliseconds, and half a second where the machine
    /// lets no connection to itself through; none throws.
    /// </summary>
    public static PlatformProbe Current => LazyCurrent.Value;

    /// <summary>Begins to find out, so that no connection has to wait for it.</summary>
    public static void Begin()
    {
        if (!LazyCurrent.IsValueCreated)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static _ => _ = Current, null);
        }
    }

    /// <param name="tryRun">
    /// Asks over a connection to an address; <see langword="null"/> where none can be made.
    /// </param>
    public static PlatformProbe Run(Func<IPAddress, PlatformProbe?> tryRun)
    {
        var best = Nothing;
        for (var i = 0; i < Attempts && best is not { TrustsSendQueue: true, TrustsTcpInfo: true }; i++)
        {
            // A connection that is not let through is not let through the next time, and peers wait meanwhile.
            if ((tryRun(IPAddress.Loopback) ?? tryRun(IPAddress.IPv6Loopback)) is not { } found)
            {
                break;
            }

            best = new PlatformProbe(
                best.TrustsSendQueue || found.TrustsSendQueue,
                best.TrustsTcpInfo || found.TrustsTcpInfo);
        }

        return best;
    }

    // Not a word of the network's is expected here, but a process without sockets must still serve what it can.
    private static PlatformProbe? TryRun(IPAddress address)
    {
        Socket? own = null;
        Socket? peer = null;
        try
        {
            using var listener = Create(address);
            listener.Bind(new IPEndPoint(address, 0));
            listener.Listen(1);
            own = Create(address);
            own.SendTimeout = (int)ConnectLimit.TotalMilliseconds; // Linux ends a connect by it.
            own.Connect(listener.LocalEndPoint!);
            peer = listener.Accept();
            return Run(own, peer);
        }
        catch (Exception exception)
            when (exception is SocketException or NotSupportedException or UnauthorizedAccessException)
        {
            return peer is null ? null : Nothing;
        }
        finally
        {
            own?.Dispose();
            peer?.Dispose();
        }
    }

    private static PlatformProbe Run(Socket own, Socket peer)
    {
        SetLimits(own);
        SetLimits(peer);

        var trustsInfo = TcpInfo.TryRead(own, out var start);
        var trustsQueue = SendAndReceive(own, peer) && SocketQueue.GetSendLength(own) == 0;
        trustsInfo = trustsInfo
            && TcpInfo.TryRead(own, out var info)
            && info.State == TcpInfo.Established
            && info.AcknowledgedBytes == start.AcknowledgedBytes + 1
            && info.ReceivedBytes == start.ReceivedBytes + 1
            && info.SentBytes == start.SentBytes + 1
            && info.SinceReceived < Limit;

        var full = Fill(own, peer);
        own.Shutdown(SocketShutdown.Send);
        trustsQueue = trustsQueue && full > 0 && SocketQueue.GetSendLength(own) == full + 1;
        trustsInfo = trustsInfo && TcpInfo.TryRead(own, out info) && info.State == TcpInfo.FinWait1;

        peer.Close(0);
        trustsQueue = own.Poll(Limit, SelectMode.SelectError) && trustsQueue && SocketQueue.GetSendLength(own) > 1;
        trustsInfo = trustsInfo && TcpInfo.TryRead(own, out info) && info.State == TcpInfo.Closed;
        return new PlatformProbe(trustsQueue, trustsInfo);
    }

    private static Socket Create(IPAddress address)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp)
        {
            NoDelay = true,
            SendBufferSize = BufferBytes, // Small, so that it is full soon.
            ReceiveBufferSize = BufferBytes,
        };
        SetLimits(socket);
        return socket;
    }

    private static void SetLimits(Socket socket)
    {
        socket.SendTimeout = (int)Limit.TotalMilliseconds;
        socket.ReceiveTimeout = (int)Limit.TotalMilliseconds;
    }

    // The answer brings the acknowledgement of the request with it, so that nothing has to be waited for.
    private static bool SendAndReceive(Socket own, Socket peer)
    {
        Span<byte> one = stackalloc byte[1];
        own.Send(one);
        return peer.Receive(one) == 1 && peer.Send(one) == 1 && own.Receive(one) == 1;
    }

    /// <summary>Sends until the peer's kernel takes no more and its acknowledgements have come.</summary>
    /// <returns>The length of the send queue, or 0 when it does not come to rest.</returns>
    private static int Fill(Socket own, Socket peer)
    {
        var chunk = new byte[BufferBytes];
        var one = new byte[1];
        var before = -1;
        for (var i = 0; i < MaxRounds; i++)
        {
            own.Blocking = false;
            SocketError error;
            do
            {
                own.Send(chunk, SocketFlags.None, out error);
            }
            while (error == SocketError.Success);

            own.Blocking = true;
            peer.Send(one); // Brings the newest acknowledgement.
            own.Receive(one);
            var length = SocketQueue.GetSendLength(own);
            if (length < 0 || (length > 0 && length == before))
            {
                return Math.Max(length, 0);
            }

            before = length;
        }

        return 0;
    }
}
