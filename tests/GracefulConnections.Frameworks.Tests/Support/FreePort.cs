using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Frameworks.Tests.Support;

/// <summary>Finds ports that stay free until they are used: below those that the kernel gives away.</summary>
internal static class FreePort
{
    private static int _next = Random.Shared.Next(10_000, 28_000);

    public static int Find()
    {
        while (true)
        {
            var port = Interlocked.Increment(ref _next);
            var listener = new TcpListener(IPAddress.Loopback, port);
            try
            {
                listener.Start();
                return port;
            }
            catch (SocketException)
            {
                // The next one.
            }
            finally
            {
                listener.Stop();
            }
        }
    }
}
