using System.Diagnostics;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace GracefulConnections.Benchmarks.Load;

/// <summary>Connections over TLS that each have one message under way at any time, each on a thread of its own with a blocking stream: an encrypted stream cannot be polled.</summary>
internal sealed class TlsEchoLoad(IPEndPoint endPoint, SslClientAuthenticationOptions tls, int connections, int messageBytes)
    : BlockingLoad<SslStream>(Connect(connections, () => Connect(endPoint, tls)))
{
    private readonly byte[] _message = RandomNumberGenerator.GetBytes(messageBytes);

    protected override long Run(SslStream stream, long stopAt, LatencyHistogram latencies)
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

    private static SslStream Connect(IPEndPoint endPoint, SslClientAuthenticationOptions tls)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = StallLimitMilliseconds };
        socket.Connect(endPoint);
        var stream = new SslStream(new NetworkStream(socket, ownsSocket: true));
        stream.AuthenticateAsClient(tls);
        return stream;
    }
}
