using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace GracefulConnections.FunctionalTests.Listening.Support;

/// <summary>Another hold on a listening socket of this process, as a successor or a service manager has one.</summary>
internal sealed class HeldSocket : IDisposable
{
    private const byte Listening = 10;
    private const int DuplicateDescriptor = 1030; // F_DUPFD_CLOEXEC: a program that another test starts must not hold it.

    private readonly Socket _view;
    private readonly int _descriptor;

    private readonly long _inode;

    private HeldSocket(int descriptor, long inode)
    {
        _inode = inode;
        _descriptor = Control(descriptor, DuplicateDescriptor, 0);
        _view = new Socket(new SafeSocketHandle(_descriptor, ownsHandle: false));
    }

    /// <summary>Gets whether SO_LINGER is set. Accepted sockets inherit it.</summary>
    public bool Lingers => _view.LingerState!.Enabled;

    /// <summary>Gets whether it still listens.</summary>
    public bool IsListening => _view.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.AcceptConnection) is 1;

    /// <summary>Takes hold of the socket that listens on a port of 127.0.0.1.</summary>
    public static HeldSocket OnPort(int port)
    {
        var inode = File.ReadLines("/proc/net/tcp").Skip(1)
            .Select(static line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Single(fields => fields[1] == $"0100007F:{port:X4}" && byte.Parse(fields[3], NumberStyles.HexNumber, CultureInfo.InvariantCulture) == Listening)[9];
        var link = new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos().First(file => file.LinkTarget == $"socket:[{inode}]");
        return new HeldSocket(int.Parse(link.Name, CultureInfo.InvariantCulture), long.Parse(inode, CultureInfo.InvariantCulture));
    }

    /// <summary>Returns how often this process waits for events of the socket (epoll in proc_pid_fdinfo(5)).</summary>
    public int CountQueueEntries()
    {
        var entry = string.Create(CultureInfo.InvariantCulture, $" ino:{_inode:x} ");
        return new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos()
            .Where(static file => file.LinkTarget == "anon_inode:[eventpoll]")
            .SelectMany(static file => File.ReadLines($"/proc/self/fdinfo/{file.Name}"))
            .Count(line => line.StartsWith("tfd:", StringComparison.Ordinal) && line.Contains(entry, StringComparison.Ordinal));
    }

    public void Dispose()
    {
        _view.Dispose();
        _ = Close(_descriptor);
    }

    [DllImport("libc", EntryPoint = "fcntl")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Control(int descriptor, int command, int argument);

    [DllImport("libc", EntryPoint = "close")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Close(int descriptor);
}
