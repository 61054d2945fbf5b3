using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.TestSupport;

/// <summary>
/// Ports for programs that must be told one. They lie below those that Linux gives to whoever asks for any (from 32768
/// on, net.ipv4.ip_local_port_range), so that nobody gets one by chance before the program has it.
/// </summary>
public static class FreePort
{
    private const int First = 20_000;
    private const int Count = 12_000;

    private static uint _last = (uint)Random.Shared.Next(Count); // Another process begins somewhere else.

    /// <summary>Returns a port that nobody listens on. No two calls of a process return the same one.</summary>
    public static int Find()
    {
        for (var i = 0; i < Count; i++)
        {
            var port = First + (int)(Interlocked.Increment(ref _last) % Count);
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.Bind(new IPEndPoint(IPAddress.Any, port));
                return port;
            }
            catch (SocketException exception) when (exception.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
                // Somebody has it. The next one, then.
            }
        }

        throw new InvalidOperationException($"None of the ports {First} to {First + Count - 1} is free.");
    }
}
