using System.Net;
using System.Net.Sockets;
using GracefulConnections.Transport;

namespace GracefulConnections.Testing;

/// <summary>
/// The other end of a connection: a plain socket, and what a peer can do with it. It reads nothing unless it is told
/// to.
/// </summary>
/// <remarks>
/// Every wait ends after 60 s of real time: a wait for a condition by <see cref="TimeoutException"/>, a send or a read
/// by <see cref="OperationCanceledException"/>. Send from one place at a time, and read from one place at a time.
/// What the network does to a send or a read comes out as a <see cref="SocketException"/>, unless a member says else.
/// </remarks>
public sealed partial class ScriptedPeer : IAsyncDisposable
{
    /// <summary>How many bytes <see cref="StartUpload"/> sends at a time: 64 KiB.</summary>
    public const int UploadChunkBytes = 64 * 1024;

    private const int ReadChunkBytes = 64 * 1024;

    private readonly PeerLog _log;
    private readonly MemoryStream _kept = new();
    private readonly CancellationTokenSource _stopped = new();
    private CancellationTokenSource _readingStopped = new();
    private Task _upload = Task.CompletedTask;
    private Task _reading = Task.CompletedTask;
    private long _uploadedBytes;

    /// <summary>Makes a peer of a socket that is connected.</summary>
    /// <param name="socket">The socket. The peer disposes it.</param>
    /// <param name="time">The clock of <see cref="Report"/>; the system's if <see langword="null"/>.</param>
    /// <exception cref="ArgumentNullException"><paramref name="socket"/> is <see langword="null"/>.</exception>
    public ScriptedPeer(Socket socket, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(socket);
        Socket = socket;
        _log = new PeerLog(time ?? TimeProvider.System);
    }

    /// <summary>Gets the socket itself, for what this class has no word for.</summary>
    public Socket Socket { get; }

    /// <summary>Gets what the peer saw so far, and when, by whichever method it read.</summary>
    public PeerReport Report => _log.Report;

    /// <summary>Gets the bytes that <see cref="StartUpload"/> has sent so far.</summary>
    public long UploadedBytes => Volatile.Read(ref _uploadedBytes);

    /// <summary>Gets the bytes that were received so far, by whichever method.</summary>
    public long ReceivedBytes => Report.ReceivedBytes;

    /// <summary>
    /// Gets the bytes that the kernel has received in order, read or not. The server's FIN counts as one, and a reset
    /// as none. Only on TCP on Linux.
    /// </summary>
    /// <exception cref="NotSupportedException">The kernel does not tell, or the socket is disposed.</exception>
    public long KernelReceivedBytes => TcpInfo.TryRead(Socket, out var info)
        ? info.ReceivedBytes
        : throw new NotSupportedException(
            "The kernel tells nothing of this socket, because only TCP on Linux has TCP_INFO. Use TCP.");

    /// <summary>Gets the network that the peer can vanish in; <see langword="null"/> for the machine's own.</summary>
    public NetworkNamespace? Network { get; init; }

    /// <summary>Connects a peer.</summary>
    /// <param name="endPoint">Where to: an IP address and port, or a Unix domain socket.</param>
    /// <param name="configure">Changes the socket before it connects, its buffers for example.</param>
    /// <param name="time">The clock of <see cref="Report"/>; the system's if <see langword="null"/>.</param>
    /// <exception cref="ArgumentNullException"><paramref name="endPoint"/> is <see langword="null"/>.</exception>
    /// <exception cref="SocketException">Nobody listens there, or the network is at fault.</exception>
    public static async Task<ScriptedPeer> ConnectAsync(
        EndPoint endPoint, Action<Socket>? configure = null, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(endPoint);
        var socket = endPoint is UnixDomainSocketEndPoint
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            configure?.Invoke(socket);
            await socket.ConnectAsync(endPoint).WithinLimit();
        }
        catch
        {
            socket.Dispose();
            throw;
        }

        return new ScriptedPeer(socket, time);
    }

    /// <summary>Sends FIN and goes on reading.</summary>
    public void HalfClose() => Socket.Shutdown(SocketShutdown.Send);

    /// <summary>Sends RST.</summary>
    public void Reset() => Socket.Close(0);

    /// <summary>
    /// Vanishes without a packet: from now on the network carries nothing, in neither direction. That ends every
    /// connection in the peer's network.
    /// </summary>
    /// <exception cref="InvalidOperationException">The peer is not in a network of its own.</exception>
    public void Vanish() => (Network ?? throw new InvalidOperationException(
        "The peer is in the machine's own network, which must go on. Connect it by NetworkNamespace.Connect().")).Cut();

    /// <summary>Ends the upload and the reading in the background, and closes the socket.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopUploadAsync();
        await StopReadingAsync();
        Socket.Dispose();
        _stopped.Dispose();
        _readingStopped.Dispose();
    }

    private static bool IsReset(SocketException exception) =>
        exception.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown;

    private static bool IsEndOrStop(Exception exception) =>
        exception is SocketException or OperationCanceledException or ObjectDisposedException;
}
