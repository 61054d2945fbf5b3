using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Benchmarks.Load;

/// <summary>Connections that each ask for a number of messages and read them all, each on a thread of its own.</summary>
internal sealed class FeedLoad : ILoad
{
    private static readonly int StallLimitMilliseconds = (int)TimeSpan.FromSeconds(10).TotalMilliseconds;

    private readonly int _messages;
    private readonly int _messageBytes;
    private readonly Socket[] _sockets;

    public FeedLoad(IPEndPoint endPoint, int connections, int messages, int messageBytes)
    {
        _messages = messages;
        _messageBytes = messageBytes;
        _sockets = new Socket[connections];
        for (var i = 0; i < connections; i++)
        {
            _sockets[i] = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = StallLimitMilliseconds };
            _sockets[i].Connect(endPoint);
        }
    }

    public LoadResult Run(TimeSpan duration) => LoadThreads.Run(_sockets.Length, duration, (index, stopAt, latencies) => Run(_sockets[index], stopAt, latencies));

    public void Dispose()
    {
        foreach (var socket in _sockets)
        {
            socket.Dispose();
        }
    }

    // A latency is that of a whole feed.
    private long Run(Socket socket, long stopAt, LatencyHistogram latencies)
    {
        var buffer = new byte[64 * 1024];
        long count = 0;
        while (true)
        {
            var started = Stopwatch.GetTimestamp();
            if (started >= stopAt)
            {
                return count;
            }

            socket.Send(new byte[1]);
            for (var left = _messages * _messageBytes; left > 0;)
            {
                var received = socket.Receive(buffer.AsSpan(0, Math.Min(left, buffer.Length)));
                left -= received > 0 ? received : throw new InvalidDataException("The feed ended before its time.");
            }

            latencies.Note(Stopwatch.GetTimestamp() - started);
            count += _messages;
        }
    }
}
