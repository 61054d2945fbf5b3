using System.Diagnostics;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;

namespace GracefulConnections.Benchmarks.Load;

/// <summary>Threads that connect, shake hands where there is TLS, send a request, read to the end and close, again and again, with blocking sockets.</summary>
internal sealed class ConnectLoad(IPEndPoint endPoint, SslClientAuthenticationOptions? tls, int messageBytes) : ILoad
{
    private const int ThreadCount = 8; // Most of the time one of them waits for the server: enough that the server never does.

    private static readonly int StallLimitMilliseconds = (int)TimeSpan.FromSeconds(10).TotalMilliseconds;

    public LoadResult Run(TimeSpan duration) => LoadThreads.Run(ThreadCount, duration, (_, stopAt, latencies) => Run(stopAt, latencies));

    public void Dispose()
    {
    }

    private long Run(long stopAt, LatencyHistogram latencies)
    {
        var request = new byte[messageBytes];
        var reply = new byte[messageBytes + 1];
        long count = 0;
        while (true)
        {
            var started = Stopwatch.GetTimestamp();
            if (started >= stopAt)
            {
                return count;
            }

            using (var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
            {
                socket.ReceiveTimeout = StallLimitMilliseconds;
                socket.Connect(endPoint);
                var total = tls is null ? Ask(socket, request, reply) : Ask(socket, tls, request, reply);
                if (total != messageBytes)
                {
                    throw new InvalidDataException($"The reply had {total} bytes instead of {messageBytes}.");
                }
            }

            latencies.Note(Stopwatch.GetTimestamp() - started);
            count++;
        }
    }

    private static int Ask(Socket socket, byte[] request, byte[] reply)
    {
        socket.Send(request);
        var total = 0;
        int received;
        while ((received = socket.Receive(reply.AsSpan(total))) > 0)
        {
            total += received;
        }

        return total;
    }

    private static int Ask(Socket socket, SslClientAuthenticationOptions tls, byte[] request, byte[] reply)
    {
        using var stream = new SslStream(new NetworkStream(socket));
        stream.AuthenticateAsClient(tls);
        stream.Write(request);
        var total = 0;
        int received;
        while ((received = stream.Read(reply.AsSpan(total))) > 0)
        {
            total += received;
        }

        return total;
    }
}
