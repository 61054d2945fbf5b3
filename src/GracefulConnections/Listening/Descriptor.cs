using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace GracefulConnections.Listening;

/// <summary>
/// A descriptor that no managed socket owns. A managed one sets SO_LINGER, or disconnects, when it is disposed while it
/// accepts, and that reaches every process which holds the same socket.
/// </summary>
internal sealed class Descriptor : SafeHandleMinusOneIsInvalid
{
    public Descriptor(int value)
        : base(ownsHandle: true) => SetHandle(value);

    public int Value => (int)handle;

    /// <exception cref="IOException">The process has no descriptor left.</exception>
    public static Descriptor DuplicateOf(Socket socket)
    {
        var copy = LibC.Duplicate(socket.SafeHandle);
        return copy >= 0
            ? new Descriptor(copy)
            : throw new IOException(
                $"A listening socket could not be kept: {Marshal.GetLastPInvokeErrorMessage()}. Check the limit of "
                + "open files (ulimit -n).");
    }

    /// <summary>Returns a managed view of the socket, whose disposal does nothing to it.</summary>
    /// <exception cref="SocketException">It is no socket.</exception>
    public Socket View() => new(new SafeSocketHandle(handle, ownsHandle: false));

    protected override bool ReleaseHandle() => LibC.Close((int)handle) == 0;
}
