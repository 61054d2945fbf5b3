using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace GracefulConnections.Testing;

/// <summary>
/// Asks the kernel how a socket's input ended, and takes nothing from it: neither bytes nor the error.
/// </summary>
internal static class SocketEnd
{
    private const short PollError = 0x0008;
    private const short PollPeerFin = 0x2000; // POLLRDHUP on Linux. Not managed: Socket.Poll cannot ask for it.

    /// <summary>Returns how the input ended; <see langword="null"/> while it has not.</summary>
    public static PeerSaw? Look(Socket socket)
    {
        var question = new PollDescriptor { Descriptor = (int)socket.Handle, Events = PollPeerFin };
        if (Poll(ref question, 1, 0) < 0)
        {
            throw new Win32Exception();
        }

        // A reset sets both: the kernel takes it for the end of the input, too.
        return (question.Found & PollError) != 0 ? PeerSaw.Reset
            : (question.Found & PollPeerFin) != 0 ? PeerSaw.Eof
            : null;
    }

    [DllImport("libc", EntryPoint = "poll", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Poll(ref PollDescriptor question, nuint count, int milliseconds);

    private struct PollDescriptor
    {
        public int Descriptor;
        public short Events;
        public short Found;
    }
}
