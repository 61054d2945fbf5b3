using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Benchmarks.Rolling;

/// <summary>Finds ports that stay free while nobody listens on them.</summary>
internal static class FreePort
{
    // Below those that Linux gives to outgoing connections, one of which could take the port of a replica that restarts.
    private const int First = 15_000;
    private const int Last = 32_000;

    private static readonly HashSet<int> Found = [];

    public static int Find()
    {
        while (true)
        {
            var port = Random.Shared.Next(First, Last);
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            }
            catch (SocketException exception) when (exception.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
                continue;
            }

            if (Found.Add(port))
            {
                return port;
            }
        }
    }
}
