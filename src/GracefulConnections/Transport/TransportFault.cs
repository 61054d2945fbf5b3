using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Transport;

/// <summary>Sorts the exceptions by which a transport tells that a connection has ended.</summary>
internal static class TransportFault
{
    /// <summary>The peer or the network ended it; anything else was this side's doing.</summary>
    public static bool IsReset(Exception exception) =>
        // ConnectionResetException is an IOException, ConnectionAbortedException is not. TLS wraps whatever ended it.
        exception is IOException or SocketException
        && !IsOwnClose(exception)
        && exception.InnerException is not (ConnectionAbortedException or ObjectDisposedException);

    /// <summary>
    /// Somebody else uses the reader itself, which says nothing of the connection: the handler that of TLS, which it
    /// reads from or has disposed; whoever stands before us the transport's, which it reads from or has completed.
    /// </summary>
    public static bool IsMisuse(InputKind kind, Exception exception) => kind == InputKind.Tls
        ? exception is InvalidOperationException or NotSupportedException
        : exception is InvalidOperationException and not ObjectDisposedException;

    /// <summary>
    /// The network ended it: by a reset, by a timeout of the kernel's, or because there is no way to the peer any more.
    /// Unlike <see cref="IsReset"/> this leaves out what another layer, such as TLS, did not like in the bytes.
    /// </summary>
    public static bool IsNetworkEnd(Exception exception)
    {
        for (var current = exception; current is not null; current = current.InnerException)
        {
            if (current is ConnectionAbortedException or ObjectDisposedException)
            {
                return false;
            }

            if (current is ConnectionResetException or SocketException)
            {
                return !IsOwnClose(current);
            }
        }

        return false;
    }

    // The socket was closed under the operation.
    private static bool IsOwnClose(Exception exception) => exception is SocketException
    {
        SocketErrorCode: SocketError.OperationAborted or SocketError.Interrupted,
    };
}
