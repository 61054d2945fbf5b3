using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace GracefulConnections.Transport;

/// <summary>
/// A copy of a socket's descriptor. As long as there is one the kernel does not end the connection when the server
/// closes its own, whatever it has set for that.
/// </summary>
internal sealed partial class KeptSocket
{
    private const int DuplicateDescriptor = 1030; // F_DUPFD_CLOEXEC.
    private const int FirstFreeDescriptor = 3; // Below are standard input, output and error.
    private const int SocketLevel = 1; // SOL_SOCKET.
    private const int Linger = 13; // SO_LINGER.
    private const int Looks = 4;

    private static readonly TimeSpan BetweenLooks = TimeSpan.FromMilliseconds(10);

    private readonly int _descriptor;

    private KeptSocket(int descriptor) => _descriptor = descriptor;

    /// <returns><see langword="null"/> where it cannot be, such as without a free descriptor.</returns>
    public static KeptSocket? TryCreate(Socket socket)
    {
        if (!OperatingSystem.IsLinux() || socket.AddressFamily == AddressFamily.Unix)
        {
            return null; // What was sent on a Unix domain socket is at the peer.
        }

        try
        {
            var descriptor = Fcntl(socket.SafeHandle, DuplicateDescriptor, FirstFreeDescriptor);
            return descriptor < 0 ? null : new KeptSocket(descriptor);
        }
        catch (ObjectDisposedException)
        {
            return null;
        }
    }

    /// <summary>The connection may end as the server ends it.</summary>
    public void Release() => _ = Close(_descriptor);

    /// <summary>
    /// The server has closed its own, or is about to. If it does so by RST, that is taken back: the kernel goes on
    /// delivering. It may still be on its way there, and would have the last word.
    /// </summary>
    public async Task DeliverAsync()
    {
        for (var i = 0; i < Looks; i++)
        {
            _ = SetOption(_descriptor, SocketLevel, Linger, new LingerOption(), Marshal.SizeOf<LingerOption>());
            await Task.Delay(BetweenLooks, TimeProvider.System).ConfigureAwait(false);
        }

        Release();
    }

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int Fcntl(SafeHandle handle, int command, int argument);

    [LibraryImport("libc", EntryPoint = "setsockopt")]
    private static partial int SetOption(int descriptor, int level, int name, in LingerOption value, int length);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);

    /// <summary>struct linger.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct LingerOption(int IsOn, int Seconds);
}
