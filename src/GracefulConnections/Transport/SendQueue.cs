using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace GracefulConnections.Transport;

/// <summary>
/// What a socket's send queue holds. On TCP these are the bytes that are unsent or unacknowledged, our FIN included.
/// On a Unix domain socket it is what the peer has not read, in the kernel's own accounting: its changes mean
/// something, its value does not.
/// </summary>
internal static partial class SendQueue
{
    private const nuint Siocoutq = 0x5411; // asm-generic/ioctls.h, TIOCOUTQ.

    // Set once the process has no such function to call. Asking again would throw at every look.
    private static volatile bool _isMissing;

    /// <returns>The length, or -1 where the system does not tell.</returns>
    /// <exception cref="ObjectDisposedException">The socket was disposed.</exception>
    public static int GetLength(Socket socket)
    {
        if (_isMissing)
        {
            return -1;
        }

        try
        {
            return Ioctl(socket.SafeHandle, Siocoutq, out var length) == 0 ? length : -1;
        }
        catch (Exception exception) when (exception is DllNotFoundException or EntryPointNotFoundException)
        {
            _isMissing = true;
            return -1;
        }
    }

    [LibraryImport("libc", EntryPoint = "ioctl")]
    private static partial int Ioctl(SafeHandle handle, nuint request, out int value);
}
