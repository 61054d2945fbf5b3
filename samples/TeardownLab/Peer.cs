using System.Net;
using System.Net.Sockets;

namespace TeardownLab;

/// <summary>The other end of a connection: a plain socket that counts what it receives.</summary>
internal sealed class Peer : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly byte[] _buffer = new byte[64 * 1024];

    private Peer()
    {
    }

    public long ReceivedBytes { get; private set; }

    public PeerSaw Saw { get; private set; } = PeerSaw.Nothing;

    public static async Task<Peer> ConnectAsync(IPEndPoint endPoint)
    {
        var peer = new Peer();
        await peer._socket.ConnectAsync(endPoint);
        return peer;
    }

    /// <summary>Sends zeros. A server that ended the connection ends the sending, as it would a program that ignores the error.</summary>
    public async Task SendAsync(long bytes, CancellationToken cancellationToken = default)
    {
        try
        {
            while (bytes > 0)
            {
                bytes -= await _socket.SendAsync(new byte[Math.Min(bytes, _buffer.Length)], cancellationToken);
            }
        }
        catch (Exception exception) when (exception is SocketException or OperationCanceledException)
        {
            // What counts is what the peer can still read.
        }
    }

    /// <summary>Receives once.</summary>
    /// <returns><see langword="false"/> when the connection has ended.</returns>
    public async Task<bool> ReadAsync()
    {
        try
        {
            var received = await _socket.ReceiveAsync(_buffer);
            ReceivedBytes += received;
            Saw = received == 0 ? PeerSaw.Eof : Saw;
            return received > 0;
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ConnectionReset)
        {
            Saw = PeerSaw.Reset;
            return false;
        }
    }

    public async Task ReadToEndAsync()
    {
        while (await ReadAsync())
        {
        }
    }

    /// <summary>Sends FIN.</summary>
    public void HalfClose() => _socket.Shutdown(SocketShutdown.Send);

    /// <summary>Sends RST.</summary>
    public void Reset() => _socket.Close(0);

    public void Dispose() => _socket.Dispose();
}
