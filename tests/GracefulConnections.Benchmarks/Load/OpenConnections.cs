using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Benchmarks.Load;

/// <summary>Connections that had one message echoed and then keep quiet, whatever the server does.</summary>
internal sealed class OpenConnections : IDisposable
{
    private readonly List<Socket> _sockets = [];

    public OpenConnections(IPEndPoint endPoint, int count, int messageBytes)
    {
        var message = new byte[messageBytes];
        for (var i = 0; i < count; i++)
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            _sockets.Add(socket);
            socket.Connect(endPoint);
            socket.Send(message);
            for (var received = 0; received < messageBytes;)
            {
                var read = socket.Receive(message);
                received += read > 0 ? read : throw new EndOfStreamException("The server closed before it echoed.");
            }
        }
    }

    public void Dispose()
    {
        foreach (var socket in _sockets)
        {
            socket.Dispose();
        }
    }
}
