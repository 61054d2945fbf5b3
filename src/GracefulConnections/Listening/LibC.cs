using System.Runtime.InteropServices;

namespace GracefulConnections.Listening;

/// <summary>The calls of Linux for which .NET has none of its own.</summary>
internal static unsafe partial class LibC
{
    public const int CloseOnExec = 0x80000; // O_CLOEXEC.
    public const int DoNotWait = 0x40; // MSG_DONTWAIT.
    public const int ErrorNoFile = 2; // ENOENT.
    public const int ErrorAgain = 11; // EAGAIN.
    public const int ErrorReset = 104; // ECONNRESET.
    public const int ErrorAddressInUse = 98; // EADDRINUSE.

    private const int SetDescriptorFlags = 2; // F_SETFD.
    private const int DuplicateDescriptor = 1030; // F_DUPFD_CLOEXEC.
    private const int CloseOnExecFlag = 1; // FD_CLOEXEC.
    private const int FirstFreeDescriptor = 3; // Below are standard input, output and error.

    /// <summary>Returns a copy that a child process does not inherit, or -1.</summary>
    public static int Duplicate(SafeHandle handle) => Fcntl(handle, DuplicateDescriptor, FirstFreeDescriptor);

    /// <summary>Lets no child process inherit a descriptor.</summary>
    /// <returns>Whether there is such a descriptor.</returns>
    public static bool TrySetCloseOnExec(int descriptor) =>
        Fcntl(descriptor, SetDescriptorFlags, CloseOnExecFlag) == 0;

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int descriptor);

    [LibraryImport("libc", EntryPoint = "dup3", SetLastError = true)]
    public static partial int Replace(SafeHandle source, SafeHandle target, int flags);

    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    public static partial int Bind(SafeHandle socket, ReadOnlySpan<byte> address, int length);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    public static partial uint GetUserId();

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    public static partial nint SendMessage(SafeHandle socket, MessageHeader* message, int flags);

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    public static partial nint ReceiveMessage(SafeHandle socket, MessageHeader* message, int flags);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Statx(int directory, string path, int flags, uint mask, byte* result);

    [LibraryImport("libc", EntryPoint = "epoll_ctl")]
    public static partial int ControlEvents(int queue, int operation, SafeHandle handle, nint options);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Fcntl(SafeHandle handle, int command, int argument);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Fcntl(int descriptor, int command, int argument);

    /// <summary>struct msghdr.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public Buffer* Buffers;
        public nuint BufferCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    /// <summary>struct iovec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Buffer
    {
        public void* Start;
        public nuint Length;
    }
}
