using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Transport;

/// <summary>
/// A connection's socket and a copy of its descriptor. As long as there is one the kernel does not end the connection
/// when the server closes its own, whatever it has set for that.
/// </summary>
internal sealed partial class KeptSocket
{
    private const int DuplicateDescriptor = 1030; // F_DUPFD_CLOEXEC.
    private const int FirstFreeDescriptor = 3; // Below are standard input, output and error.
    private const int SocketLevel = 1; // SOL_SOCKET.
    private const int Linger = 13; // SO_LINGER.
    private const int Looks = 4;

    private static readonly TimeSpan BetweenLooks = TimeSpan.FromMilliseconds(10);

    private readonly Socket _socket;
    private readonly int _descriptor; // Negative where there is no copy, because none is left.

    private KeptSocket(Socket socket, int descriptor) => (_socket, _descriptor) = (socket, descriptor);

    /// <returns><see langword="null"/> where nothing can be taken back.</returns>
    public static KeptSocket? TryCreate(ConnectionContext connection)
    {
        if (connection.Find<IConnectionSocketFeature>()?.Socket is not { } socket
            || socket.AddressFamily == AddressFamily.Unix // What was sent there is at the peer.
            || !OperatingSystem.IsLinux())
        {
            return null;
        }

        try
        {
            return new KeptSocket(socket, Fcntl(socket.SafeHandle, DuplicateDescriptor, FirstFreeDescriptor));
        }
        catch (ObjectDisposedException)
        {
            return null;
        }
    }

    /// <summary>The connection may end as the server ends it.</summary>
    public void Release() => _ = Close(_descriptor);

    /// <summary>
    /// Leaves the connection to the kernel. If the server has closed it by RST, or is about to, that is taken back.
    /// </summary>
    /// <param name="closes">Whether this is to close the socket, because the server may be too late for it.</param>
    public void Leave(bool closes)
    {
        if (closes)
        {
            CloseSocket();
        }
        else if (!_socket.SafeHandle.IsClosed)
        {
            Release();
            return;
        }

        _ = DeliverAsync();
    }

    private void CloseSocket()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // The peer or the server was faster.
        }

        _socket.Dispose();
    }

    // The server's own close may still be on its way to the kernel, and would have the last word.
    private async Task DeliverAsync()
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
