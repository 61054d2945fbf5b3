using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>The other end of a connection: a plain socket, and what a peer can do with it.</summary>
internal sealed class RawPeer(Socket socket) : IAsyncDisposable
{
    public const int UploadChunkBytes = 64 * 1024;

    private readonly CancellationTokenSource _stopped = new();
    private Task _upload = Task.CompletedTask;
    private long _uploadedBytes;

    public Socket Socket { get; } = socket;

    /// <summary>Gets the bytes that <see cref="StartUpload"/> has sent so far.</summary>
    public long UploadedBytes => Volatile.Read(ref _uploadedBytes);

    /// <summary>Gets the bytes that the kernel has received in order, read or not. The server's FIN counts as one, and a reset as none.</summary>
    public long KernelReceivedBytes
    {
        get
        {
            const int IpProtoTcp = 6;
            const int TcpInfo = 11; // Its struct tcp_info is in linux/tcp.h.
            const int BytesReceivedOffset = 128;
            Span<byte> info = stackalloc byte[BytesReceivedOffset + sizeof(long)];
            Assert.Equal(info.Length, Socket.GetRawSocketOption(IpProtoTcp, TcpInfo, info));
            return BinaryPrimitives.ReadInt64LittleEndian(info[BytesReceivedOffset..]);
        }
    }

    /// <summary>Connects a peer.</summary>
    /// <param name="endPoint">Where to.</param>
    /// <param name="configure">Changes the socket before it connects, its buffers for example.</param>
    public static async Task<RawPeer> ConnectAsync(EndPoint endPoint, Action<Socket>? configure = null)
    {
        var socket = endPoint is UnixDomainSocketEndPoint
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        configure?.Invoke(socket);
        await socket.ConnectAsync(endPoint).WaitAsync(TestServer.TestLimit);
        return new RawPeer(socket);
    }

    /// <summary>Returns whether the server's side of this connection is <paramref name="connection"/>.</summary>
    public bool IsPeerOf(TrackedConnectionInfo connection) => Socket.LocalEndPoint!.Equals(connection.RemoteEndPoint);

    /// <summary>Waits until everything that was sent is in the server's kernel.</summary>
    public Task AllAcknowledgedAsync()
    {
        var port = ((IPEndPoint)Socket.LocalEndPoint!).Port;
        return Eventually.IsTrueAsync(() => KernelSocket.OnPort(port).All(socket => socket.SendQueueBytes == 0));
    }

    public async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        while (!bytes.IsEmpty)
        {
            bytes = bytes[await Socket.SendAsync(bytes, SocketFlags.None, limit.Token)..];
        }
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
            catch (Exception exception) when (exception is SocketException or OperationCanceledException or ObjectDisposedException)
            {
                // The connection ended, or the test has seen enough.
            }
        }
    }

    /// <summary>Waits until the upload has sent so many bytes, or ended because the connection did.</summary>
    public Task UploadPassesOrEndsAsync(long bytes) => Eventually.IsTrueAsync(() => UploadedBytes >= bytes || _upload.IsCompleted);

    public async Task StopUploadAsync()
    {
        await _stopped.CancelAsync();
        await _upload.WaitAsync(TestServer.TestLimit);
    }

    /// <summary>Receives once.</summary>
    /// <returns>The bytes received; 0 at the server's FIN.</returns>
    public async Task<int> ReceiveAsync(Memory<byte> buffer)
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        return await Socket.ReceiveAsync(buffer, SocketFlags.None, limit.Token);
    }

    /// <summary>Receives so many bytes and no more.</summary>
    public async Task<byte[]> ReadExactlyAsync(int count)
    {
        var bytes = new byte[count];
        for (var received = 0; received < count;)
        {
            var more = await ReceiveAsync(bytes.AsMemory(received));
            Assert.True(more > 0, $"The server's FIN came after {received} of {count} bytes.");
            received += more;
        }

        return bytes;
    }

    /// <summary>
    /// Sends until the server's RST is noticed. After the server's FIN a read goes on to tell nothing but the end; only sending tells.
    /// </summary>
    public async Task SendUntilResetAsync()
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        var bytes = new byte[16];
        try
        {
            while (true)
            {
                await Socket.SendAsync(bytes, SocketFlags.None, limit.Token);
            }
        }
        catch (SocketException exception) when (exception.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
        {
            // This is what was waited for.
        }
    }

    /// <summary>Receives until the server's FIN or RST.</summary>
    public async Task<(long Bytes, PeerSaw End)> ReadToEndAsync()
    {
        var buffer = new byte[64 * 1024];
        long bytes = 0;
        while (true)
        {
            int received;
            try
            {
                received = await ReceiveAsync(buffer);
            }
            catch (SocketException exception) when (exception.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
            {
                return (bytes, PeerSaw.Reset);
            }

            if (received == 0)
            {
                return (bytes, PeerSaw.Eof);
            }

            bytes += received;
        }
    }

    /// <summary>Sends FIN and goes on reading.</summary>
    public void HalfClose() => Socket.Shutdown(SocketShutdown.Send);

    /// <summary>Sends RST.</summary>
    public void Reset() => Socket.Close(0);

    public async ValueTask DisposeAsync()
    {
        await StopUploadAsync();
        Socket.Dispose();
        _stopped.Dispose();
    }
}
