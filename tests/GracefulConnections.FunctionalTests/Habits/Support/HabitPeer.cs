using System.Net;
using System.Net.Sockets;
using System.Text;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>
/// The peer of a play. It keeps what it received and how its input ended, and a send that fails is a fact of the play
/// and not of the test.
/// </summary>
internal sealed class HabitPeer(Socket socket) : IAsyncDisposable
{
    private readonly MemoryStream _received = new();
    private readonly CancellationTokenSource _gone = new();
    private Task _reading = Task.CompletedTask;
    private PeerSaw? _end;

    public Socket Socket { get; } = socket;

    /// <summary>Gets how the input ended; <see langword="null"/> before it did.</summary>
    public PeerSaw? End
    {
        get
        {
            lock (_received)
            {
                return _end;
            }
        }
    }

    /// <summary>Gets whether everything could be sent so far.</summary>
    public bool SentAll { get; private set; } = true;

    public byte[] Received
    {
        get
        {
            lock (_received)
            {
                return _received.ToArray();
            }
        }
    }

    public long ReceivedBytes
    {
        get
        {
            lock (_received)
            {
                return _received.Length;
            }
        }
    }

    /// <summary>Connects a peer.</summary>
    /// <param name="endPoint">Where to.</param>
    /// <param name="configure">Changes the socket before it connects.</param>
    /// <param name="wire">What the connection is made of.</param>
    public static async Task<HabitPeer> ConnectAsync(
        EndPoint endPoint, Action<Socket>? configure = null, HabitWire wire = HabitWire.IPv4)
    {
        var socket = wire == HabitWire.Mptcp
            ? MptcpSocket.Create()
            : new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        socket.NoDelay = true;
        configure?.Invoke(socket);
        await socket.ConnectAsync(endPoint).InTimeAsync();
        return new HabitPeer(socket);
    }

    /// <summary>Gets or sets TLS, where there is one.</summary>
    public HeldTls? Tls { get; set; }

    /// <summary>Begins to read, and goes on until the input ends.</summary>
    public void StartReading() => _reading = Task.Run(() => ReadAsync(Socket.ReceiveAsync));

    /// <summary>Begins to read from a stream on top of the socket.</summary>
    public void StartReading(Stream stream) => _reading = Task.Run(() => ReadAsync(stream.ReadAsync));

    public Task<bool> SendAsync(string text) => SendAsync(Encoding.ASCII.GetBytes(text));

    /// <summary>Sends all of it.</summary>
    /// <returns>Whether it could.</returns>
    public async Task<bool> SendAsync(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            using var limit = new CancellationTokenSource(TestServer.TestLimit);
            while (!bytes.IsEmpty)
            {
                bytes = bytes[await Socket.SendAsync(bytes, SocketFlags.None, limit.Token)..];
            }

            return true;
        }
        catch (SocketException)
        {
            SentAll = false;
            return false;
        }
    }

    /// <summary>Sends FIN and goes on reading.</summary>
    public void HalfClose()
    {
        try
        {
            Socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            SentAll = false; // The connection was reset before.
        }
    }

    /// <summary>Waits until so many bytes were received, or the input has ended.</summary>
    public Task ReceivedAsync(long count) => Eventually.IsTrueAsync(() => ReceivedBytes >= count || End is not null);

    /// <summary>Waits until the input has ended.</summary>
    public Task EndedAsync() => Eventually.IsTrueAsync(() => End is not null);

    public async ValueTask DisposeAsync()
    {
        await _gone.CancelAsync();
        Socket.Dispose();
        await _reading.InTimeAsync();
        if (Tls is not null)
        {
            await Tls.DisposeAsync();
        }

        _gone.Dispose();
    }

    private async Task ReadAsync(Func<Memory<byte>, CancellationToken, ValueTask<int>> read)
    {
        var buffer = new byte[64 * 1024];
        try
        {
            while (await read(buffer, _gone.Token) is > 0 and var count)
            {
                lock (_received)
                {
                    _received.Write(buffer, 0, count);
                }
            }

            Ended(PeerSaw.Eof);
        }
        catch (OperationCanceledException)
        {
            // The play is over, and the server has not ended it.
        }
        catch (Exception exception) when (exception is SocketException or IOException)
        {
            Ended(PeerSaw.Reset);
        }
    }

    private void Ended(PeerSaw end)
    {
        lock (_received)
        {
            _end = end;
        }
    }
}
