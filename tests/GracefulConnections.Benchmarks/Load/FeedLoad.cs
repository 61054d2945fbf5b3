using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Benchmarks.Load;

/// <summary>Connections that each ask for a number of messages and read them all.</summary>
internal sealed class FeedLoad(IPEndPoint endPoint, int connections, int messages, int messageBytes)
    : BlockingLoad<Socket>(Connect(connections, () => Connect(endPoint)))
{
    // A latency is that of a whole feed.
    protected override long Run(Socket socket, long stopAt, LatencyHistogram latencies)
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
            for (var left = messages * messageBytes; left > 0;)
            {
                var received = socket.Receive(buffer.AsSpan(0, Math.Min(left, buffer.Length)));
                left -= received > 0 ? received : throw new InvalidDataException("The feed ended before its time.");
            }

            latencies.Note(Stopwatch.GetTimestamp() - started);
            count += messages;
        }
    }

    private static Socket Connect(IPEndPoint endPoint)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = StallLimitMilliseconds };
        socket.Connect(endPoint);
        return socket;
    }
}
