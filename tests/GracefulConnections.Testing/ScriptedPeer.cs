using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Testing;

/// <summary>
/// The other end of a connection: a plain socket, and what a peer can do with it.
/// It reads nothing unless it is told to.
/// </summary>
public sealed class ScriptedPeer(Socket socket) : IAsyncDisposable
{
    public const int UploadChunkBytes = 64 * 1024;

    private const int ReadChunkBytes = 64 * 1024;

    private readonly CancellationTokenSource _stopped = new();
    private CancellationTokenSource _readingStopped = new();
    private Task _upload = Task.CompletedTask;
    private Task _reading = Task.CompletedTask;
    private long _uploadedBytes;
    private long _receivedBytes;

    public Socket Socket { get; } = socket;

    /// <summary>Gets the bytes that <see cref="StartUpload"/> has sent so far.</summary>
    public long UploadedBytes => Volatile.Read(ref _uploadedBytes);

    /// <summary>Gets the bytes that were received so far, by whichever method.</summary>
    public long ReceivedBytes => Volatile.Read(ref _receivedBytes);

    /// <inheritdoc cref="CountKernelReceivedBytes"/>
    public long KernelReceivedBytes => CountKernelReceivedBytes(Socket);

    /// <summary>
    /// Gets the bytes that the kernel has received in order, read or not. The server's FIN counts as one, and a reset
    /// as none.
    /// </summary>
    public static long CountKernelReceivedBytes(Socket socket)
    {
        const int IpProtoTcp = 6;
        const int TcpInfo = 11; // Its struct tcp_info is in linux/tcp.h.
        const int BytesReceivedOffset = 128;
        Span<byte> info = stackalloc byte[BytesReceivedOffset + sizeof(long)];
        var written = socket.GetRawSocketOption(IpProtoTcp, TcpInfo, info);
        return written == info.Length
            ? BinaryPrimitives.ReadInt64LittleEndian(info[BytesReceivedOffset..])
            : throw new NotSupportedException($"The kernel wrote {written} of {info.Length} bytes of TCP_INFO.");
    }

    /// <summary>Connects a peer.</summary>
    /// <param name="endPoint">Where to.</param>
    /// <param name="configure">Changes the socket before it connects, its buffers for example.</param>
    public static async Task<ScriptedPeer> ConnectAsync(EndPoint endPoint, Action<Socket>? configure = null)
    {
        var socket = endPoint is UnixDomainSocketEndPoint
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        configure?.Invoke(socket);
        await socket.ConnectAsync(endPoint).WaitAsync(WaitLimit.Longest);
        return new ScriptedPeer(socket);
    }

    /// <summary>Waits until everything that was sent is in the server's kernel.</summary>
    public Task AllAcknowledgedAsync()
    {
        var port = ((IPEndPoint)Socket.LocalEndPoint!).Port;
        return Eventually.IsTrueAsync(() => KernelSocket.OnPort(port).All(socket => socket.SendQueueBytes == 0));
    }

    public async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        using var limit = new CancellationTokenSource(WaitLimit.Longest);
        while (!bytes.IsEmpty)
        {
            bytes = bytes[await Socket.SendAsync(bytes, SocketFlags.None, limit.Token)..];
        }
    }

    /// <summary>
    /// Sends until nothing more is taken for a while: every buffer on the way is full. From here on the socket does not
    /// block.
    /// </summary>
    public Task SendUntilBlockedAsync()
    {
        Socket.Blocking = false;
        var bytes = new byte[UploadChunkBytes];
        var quietLooks = 0;
        return Eventually.IsTrueAsync(() =>
        {
            quietLooks++;
            while (Socket.Send(bytes, SocketFlags.None, out var error) > 0 && error == SocketError.Success)
            {
                quietLooks = 0;
            }

            return quietLooks > 20;
        });
    }

    /// <summary>Sends a few bytes at a time, as a slow link or a slow program does.</summary>
    /// <param name="bytes">What to send in all.</param>
    /// <param name="chunkBytes">How much to send at a time.</param>
    /// <param name="every">How long to wait before each part but the first.</param>
    /// <param name="time">The clock to wait by; the system's if <see langword="null"/>.</param>
    public async Task TrickleAsync(
        ReadOnlyMemory<byte> bytes, int chunkBytes, TimeSpan every, TimeProvider? time = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(chunkBytes);
        using var timer = new PeriodicTimer(every, time ?? TimeProvider.System);
        for (var sent = 0; sent < bytes.Length; sent += chunkBytes)
        {
            if (sent > 0)
            {
                await timer.WaitForNextTickAsync().AsTask().WaitAsync(WaitLimit.Longest);
            }

            await SendAsync(bytes.Slice(sent, Math.Min(chunkBytes, bytes.Length - sent)));
        }
    }

    /// <summary>Sends one urgent byte (MSG_OOB), which no ordinary read of the other side returns.</summary>
    public async Task SendUrgentAsync(byte value)
    {
        using var limit = new CancellationTokenSource(WaitLimit.Longest);
        await Socket.SendAsync(new[] { value }, SocketFlags.OutOfBand, limit.Token);
    }

    /// <summary>Sends until the connection ends or <see cref="StopUploadAsync"/> is called.</summary>
    public void StartUpload()
    {
        _upload = Task.Run(UploadAsync);

        async Task UploadAsync()
        {
            var bytes = new byte[UploadChunkBytes];
            try
            {
                while (!_stopped.IsCancellationRequested)
                {
                    var sent = await Socket.SendAsync(bytes, SocketFlags.None, _stopped.Token);
                    Volatile.Write(ref _uploadedBytes, _uploadedBytes + sent);
                }
            }
            catch (Exception exception) when (IsEndOrStop(exception))
            {
                // The connection ended, or the test has seen enough.
            }
        }
    }

    /// <summary>Waits until the upload has sent so many bytes, or ended because the connection did.</summary>
    public Task UploadPassesOrEndsAsync(long bytes) =>
        Eventually.IsTrueAsync(() => UploadedBytes >= bytes || _upload.IsCompleted);

    public async Task StopUploadAsync()
    {
        await _stopped.CancelAsync();
        await _upload.WaitAsync(WaitLimit.Longest);
    }

    /// <summary>
    /// Reads in the background until the connection ends or <see cref="StopReadingAsync"/> is called.
    /// <see cref="ReceivedBytes"/> tells how much.
    /// </summary>
    public void StartReading()
    {
        _readingStopped.Dispose();
        _readingStopped = new CancellationTokenSource();
        var stopped = _readingStopped.Token;
        _reading = Task.Run(ReadAsync);

        async Task ReadAsync()
        {
            var buffer = new byte[ReadChunkBytes];
            try
            {
                while (await ReceiveAsync(buffer, stopped) > 0)
                {
                }
            }
            catch (Exception exception) when (IsEndOrStop(exception))
            {
                // The connection ended, or the peer has to stop reading.
            }
        }
    }

    /// <summary>Waits until so many bytes were received, or the connection ended.</summary>
    public Task ReadingPassesOrEndsAsync(long bytes) =>
        Eventually.IsTrueAsync(() => ReceivedBytes >= bytes || _reading.IsCompleted);

    /// <summary>
    /// Stops reading, so that the window closes once the buffers are full. Every method can read on later.
    /// </summary>
    public async Task StopReadingAsync()
    {
        await _readingStopped.CancelAsync();
        await _reading.WaitAsync(WaitLimit.Longest);
    }

    /// <summary>Receives once.</summary>
    /// <returns>The bytes received; 0 at the server's FIN.</returns>
    /// <exception cref="InvalidOperationException">They hold poison of a <see cref="PoisoningMemoryPool"/>.</exception>
    public async Task<int> ReceiveAsync(Memory<byte> buffer)
    {
        using var limit = new CancellationTokenSource(WaitLimit.Longest);
        return await ReceiveAsync(buffer, limit.Token);
    }

    /// <summary>Receives so many bytes and no more.</summary>
    /// <exception cref="EndOfStreamException">The server's FIN came first.</exception>
    public async Task<byte[]> ReadExactlyAsync(int count)
    {
        var bytes = new byte[count];
        for (var received = 0; received < count;)
        {
            var more = await ReceiveAsync(bytes.AsMemory(received));
            if (more == 0)
            {
                throw new EndOfStreamException($"The server's FIN came after {received} of {count} bytes.");
            }

            received += more;
        }

        return bytes;
    }

    /// <summary>
    /// Sends until the server's RST is noticed. After the server's FIN a read goes on to tell nothing but the end; only
    /// sending tells.
    /// </summary>
    public async Task SendUntilResetAsync()
    {
        using var limit = new CancellationTokenSource(WaitLimit.Longest);
        var bytes = new byte[16];
        try
        {
            while (true)
            {
                await Socket.SendAsync(bytes, SocketFlags.None, limit.Token);
            }
        }
        catch (SocketException exception) when (IsReset(exception))
        {
            // This is what was waited for.
        }
    }

    /// <summary>Receives until the server's FIN or RST.</summary>
    public Task<(long Bytes, PeerSaw End)> ReadToEndAsync() => ReadAllAsync(Stream.Null);

    /// <summary>Receives until the server's FIN or RST, and keeps what came.</summary>
    /// <param name="received">Where to put it.</param>
    public async Task<(long Bytes, PeerSaw End)> ReadAllAsync(Stream received)
    {
        var buffer = new byte[ReadChunkBytes];
        long bytes = 0;
        while (true)
        {
            int count;
            try
            {
                count = await ReceiveAsync(buffer);
            }
            catch (SocketException exception) when (IsReset(exception))
            {
                return (bytes, PeerSaw.Reset);
            }

            if (count == 0)
            {
                return (bytes, PeerSaw.Eof);
            }

            received.Write(buffer.AsSpan(0, count));
            bytes += count;
        }
    }

    /// <summary>
    /// Waits for the server's FIN or RST without reading anything. A FIN arrives only behind all data, so this never
    /// ends by one while the window is closed.
    /// </summary>
    public async Task<PeerSaw> WaitForEndAsync()
    {
        PeerSaw? end = null;
        await Eventually.IsTrueAsync(() => (end = SocketEnd.Look(Socket)) is not null);
        return end!.Value;
    }

    /// <summary>Sends FIN and goes on reading.</summary>
    public void HalfClose() => Socket.Shutdown(SocketShutdown.Send);

    /// <summary>Sends RST.</summary>
    public void Reset() => Socket.Close(0);

    public async ValueTask DisposeAsync()
    {
        await StopUploadAsync();
        await StopReadingAsync();
        Socket.Dispose();
        _stopped.Dispose();
        _readingStopped.Dispose();
    }

    private async Task<int> ReceiveAsync(Memory<byte> buffer, CancellationToken stopped)
    {
        var count = await Socket.ReceiveAsync(buffer, SocketFlags.None, stopped);
        PoisoningMemoryPool.ThrowIfPoisoned(buffer.Span[..count]);
        Volatile.Write(ref _receivedBytes, _receivedBytes + count); // One read at a time.
        return count;
    }

    private static bool IsReset(SocketException exception) =>
        exception.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown;

    private static bool IsEndOrStop(Exception exception) =>
        exception is SocketException or OperationCanceledException or ObjectDisposedException;
}
