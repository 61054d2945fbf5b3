using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace GracefulConnections.Transport;

/// <summary>What a Unix domain socket's peer has not read yet, in the kernel's own accounting: good for seeing it change, not as a number of bytes.</summary>
internal static partial class UnixQueue
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
