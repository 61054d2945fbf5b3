using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Transport;

/// <summary>Sorts the exceptions by which a transport tells that a connection has ended.</summary>
internal static class TransportFault
{
    /// <summary>The peer or the network ended it; anything else was this side's doing.</summary>
    public static bool IsReset(Exception exception) =>
        exception is IOException or SocketException // ConnectionResetException is an IOException, ConnectionAbortedException is not.
        && exception.InnerException is not (ConnectionAbortedException or ObjectDisposedException); // TLS makes an IOException of whatever ended it.
}
