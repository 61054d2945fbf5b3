using System.Diagnostics;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;

namespace GracefulConnections.Benchmarks.Load;

/// <summary>Connections over TLS that each have one message under way at any time, each on a thread of its own with a blocking stream: an encrypted stream cannot be polled.</summary>
internal sealed class TlsEchoLoad : ILoad
{
    private static readonly int StallLimitMilliseconds = (int)TimeSpan.FromSeconds(10).TotalMilliseconds;

    private readonly byte[] _message;
    private readonly SslStream[] _streams;

    public TlsEchoLoad(IPEndPoint endPoint, SslClientAuthenticationOptions tls, int connections, int messageBytes)
    {
        _message = new byte[messageBytes];
        Random.Shared.NextBytes(_message);
        _streams = new SslStream[connections];
        for (var i = 0; i < connections; i++)
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = StallLimitMilliseconds };
            socket.Connect(endPoint);
            _streams[i] = new SslStream(new NetworkStream(socket, ownsSocket: true));
            _streams[i].AuthenticateAsClient(tls);
        }
    }

    public LoadResult Run(TimeSpan duration) => LoadThreads.Run(_streams.Length, duration, (index, stopAt, latencies) => Run(_streams[index], stopAt, latencies));

    public void Dispose()
    {
        foreach (var stream in _streams)
        {
            stream.Dispose();
        }
    }

    private long Run(SslStream stream, long stopAt, LatencyHistogram latencies)
    {
        var received = new byte[_message.Length];
        long count = 0;
        while (true)
        {
            var started = Stopwatch.GetTimestamp();
            if (started >= stopAt)
            {
                return count;
            }

            stream.Write(_message);
            stream.ReadExactly(received);
            latencies.Note(Stopwatch.GetTimestamp() - started);
            if (count++ == 0 && !received.AsSpan().SequenceEqual(_message)) // Once: comparing every message would load the generator.
            {
                throw new InvalidDataException("The echo differs from the message.");
            }
        }
    }
}
