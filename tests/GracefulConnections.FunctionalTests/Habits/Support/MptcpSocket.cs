using System.ComponentModel;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>Sockets of multipath TCP, which the runtime does not make by itself.</summary>
internal static class MptcpSocket
{
    private const int IPv4 = 2; // AF_INET
    private const int Stream = 1 | 0x80000; // SOCK_STREAM | SOCK_CLOEXEC: a program that another test starts must not hold it.
    private const int Protocol = 262; // IPPROTO_MPTCP in linux/in.h.
    private const int SocketLevel = 1; // SOL_SOCKET
    private const int ProtocolOption = 38; // SO_PROTOCOL

    /// <summary>Makes a socket, or skips the test where the kernel has none such.</summary>
    public static Socket Create()
    {
        var descriptor = MakeSocket(IPv4, Stream, Protocol);
        if (descriptor < 0)
        {
            Assert.Skip($"This kernel has no MPTCP: {new Win32Exception().Message}. See /proc/sys/net/mptcp/enabled.");
        }

        return new Socket(new SafeSocketHandle(descriptor, ownsHandle: true));
    }

    /// <summary>Makes a listening socket whose handle is the caller's.</summary>
    public static (ulong Handle, EndPoint EndPoint) Listen()
    {
        var socket = Create(); // Not disposed: without its handle, its disposal would wait for ever.
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        socket.Listen();
        var passed = ((ulong)socket.Handle, socket.LocalEndPoint!);
        socket.SafeHandle.SetHandleAsInvalid(); // Who is passed the handle closes it.
        return passed;
    }

    /// <summary>Returns whether a socket speaks multipath TCP.</summary>
    public static bool Is(Socket socket)
    {
        Span<byte> protocol = stackalloc byte[sizeof(int)];
        socket.GetRawSocketOption(SocketLevel, ProtocolOption, protocol);
        return BitConverter.ToInt32(protocol) == Protocol;
    }

    [DllImport("libc", EntryPoint = "socket", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int MakeSocket(int family, int type, int protocol);
}
