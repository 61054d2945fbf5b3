using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Benchmarks.Load;

/// <summary>Connections that send nothing, or one byte at first, and close when they see the server's FIN.</summary>
internal sealed class IdlePeers : IDisposable
{
    private const int PeersPerAddress = 5_000; // One source address has 28,000 ports, and not all of them are free.
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly List<Socket> _sockets = [];
    private readonly List<Task<long>> _fins = [];
    private long _startedAt;

    /// <param name="endPoint">Where to connect to.</param>
    /// <param name="count">How many.</param>
    /// <param name="echoes">Whether each sends a byte, and waits until it has come back.</param>
    public IdlePeers(IPEndPoint endPoint, int count, bool echoes = false)
    {
        for (var i = 0; i < count; i++)
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            _sockets.Add(socket);
            socket.Bind(new IPEndPoint(new IPAddress([127, 0, 0, (byte)(2 + (i / PeersPerAddress))]), 0));
            socket.Connect(endPoint);
            if (echoes)
            {
                socket.Send(new byte[1]);
                socket.Receive(new byte[1]);
            }

            _fins.Add(WaitForFinAsync(socket));
        }
    }

    public void StartWatch() => _startedAt = Stopwatch.GetTimestamp();

    /// <summary>Waits until the last peer has seen FIN.</summary>
    /// <returns>When it did, from <see cref="StartWatch"/> on.</returns>
    public async Task<TimeSpan> LastFinAsync() => Stopwatch.GetElapsedTime(_startedAt, (await Task.WhenAll(_fins).WaitAsync(Limit)).Max());

    public void Dispose() => _sockets.ForEach(static socket => socket.Dispose());

    private static async Task<long> WaitForFinAsync(Socket socket)
    {
        var received = await socket.ReceiveAsync(new byte[1]);
        var at = Stopwatch.GetTimestamp();
        socket.Dispose();
        return received == 0 ? at : throw new InvalidOperationException("A peer that has sent nothing received something.");
    }
}
