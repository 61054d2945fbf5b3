using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Benchmarks.Load;

/// <summary>What one relay relays to: hands out each connection that it makes, or echoes on it.</summary>
internal sealed class RelayUpstream : IDisposable
{
    private const int Backlog = 128;
    private const int EchoThreadCount = 2; // As many as load it.

    private static readonly TimeSpan AcceptLimit = TimeSpan.FromSeconds(10);

    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    public RelayUpstream()
    {
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen(Backlog);
        Port = ((IPEndPoint)_listener.LocalEndPoint!).Port;
    }

    public int Port { get; }

    public Socket Accept()
    {
        if (!_listener.Poll(AcceptLimit, SelectMode.SelectRead))
        {
            throw new TimeoutException($"The relay did not connect within {AcceptLimit.TotalSeconds} s.");
        }

        var socket = _listener.Accept();
        socket.NoDelay = true;
        return socket;
    }

    /// <summary>Accepts that many connections and echoes on them until their peers close.</summary>
    /// <param name="count">The number of connections.</param>
    /// <param name="messageBytes">The size of a message; each connection has one under way at most.</param>
    public void StartEchoes(int count, int messageBytes)
    {
        var sockets = Enumerable.Range(0, count).Select(_ => Accept()).ToArray();
        foreach (var part in sockets.Chunk((count + EchoThreadCount - 1) / EchoThreadCount))
        {
            // In the background: its connections end with the relay, and nothing waits for it.
            new Thread(() => Echo([.. part], new byte[messageBytes])) { IsBackground = true }.Start();
        }
    }

    public void Dispose() => _listener.Dispose();

    private static void Echo(List<Socket> sockets, byte[] buffer)
    {
        var readable = new List<Socket>(sockets.Count);
        while (sockets.Count > 0)
        {
            readable.Clear();
            readable.AddRange(sockets);
            Socket.Select(readable, null, null, Timeout.InfiniteTimeSpan);
            foreach (var socket in readable)
            {
                if (!TryEcho(socket, buffer))
                {
                    sockets.Remove(socket);
                    socket.Dispose();
                }
            }
        }
    }

    // A part of a message comes back as a part. An error of the connection is its end here: whoever waits for the echo tells of it.
    private static bool TryEcho(Socket socket, byte[] buffer)
    {
        var received = socket.Receive(buffer, SocketFlags.None, out _);
        return received > 0 && socket.Send(buffer.AsSpan(0, received), SocketFlags.None, out _) == received;
    }
}
