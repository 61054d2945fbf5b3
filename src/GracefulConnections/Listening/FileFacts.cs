using System.Runtime.InteropServices;

namespace GracefulConnections.Listening;

/// <summary>What Linux tells of a file (struct statx in linux/stat.h).</summary>
internal readonly record struct FileFacts(uint UserId, int Mode, ulong Inode)
{
    private const int CurrentDirectory = -100; // AT_FDCWD.
    private const uint TypeModeUserAndInode = 0x1 | 0x2 | 0x8 | 0x100;
    private const int UserOffset = 20;
    private const int ModeOffset = 28;
    private const int InodeOffset = 32;
    private const int Length = 256;

    private const int TypeMask = 0xF000; // S_IFMT.
    private const int SocketType = 0xC000; // S_IFSOCK.
    private const int DirectoryType = 0x4000; // S_IFDIR.
    private const int WritableByOthers = 0x2; // S_IWOTH.

    public bool IsSocket => (Mode & TypeMask) == SocketType;

    public bool IsDirectory => (Mode & TypeMask) == DirectoryType;

    public bool IsWritableByOthers => (Mode & WritableByOthers) != 0;

    /// <summary>Returns whether there is no such file; not where it cannot be looked at.</summary>
    public static bool IsMissing(string path) =>
        Of(path) is null && Marshal.GetLastPInvokeError() == LibC.ErrorNoFile;

    /// <returns><see langword="null"/> if there is no such file, or it cannot be looked at.</returns>
    public static unsafe FileFacts? Of(string path)
    {
        var raw = stackalloc byte[Length];
        return LibC.Statx(CurrentDirectory, path, 0, TypeModeUserAndInode, raw) == 0
            ? new FileFacts(*(uint*)(raw + UserOffset), *(ushort*)(raw + ModeOffset), *(ulong*)(raw + InodeOffset))
            : null;
    }
}
