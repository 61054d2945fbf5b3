using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace GracefulConnections.Transport;

/// <summary>
/// What a socket's send queue holds. On TCP the bytes that are unsent or unacknowledged, our FIN included; on a Unix domain socket what the peer has not read yet, in the kernel's own
/// accounting: good for seeing it change, not as a number of bytes.
/// </summary>
internal static partial class SendQueue
{
    private const nuint Siocoutq = 0x5411; // asm-generic/ioctls.h, TIOCOUTQ.

    public static int GetLength(Socket socket)
    {
        if (!OperatingSystem.IsLinux())
        {
            return 0;
        }

        try
        {
            return Ioctl(socket.SafeHandle, Siocoutq, out var length) == 0 ? length : 0;
        }
        catch (ObjectDisposedException)
        {
            return 0;
        }
    }

    [LibraryImport("libc", EntryPoint = "ioctl")]
    private static partial int Ioctl(SafeHandle handle, nuint request, out int value);
}
