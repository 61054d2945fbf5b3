using System.Text;

namespace GracefulConnections.Listening;

/// <summary>The path at which a successor asks for the listening sockets, and what must hold for it.</summary>
internal static class HandoverPath
{
    /// <summary>The longest path: a socket's name has 107 bytes, and a new one is made beside the old one.</summary>
    public const int MostBytes = 107 - 8; // A dot and the process id.

    private const string RuntimeDirectoryVariable = "RUNTIME_DIRECTORY";
    private const string FileName = "handover.sock";

    /// <summary>Returns the path that the options mean; <see langword="null"/> for no handover.</summary>
    public static string? Of(ListenerHandoverOptions options)
    {
        if (options.SocketPath is { } path)
        {
            return path.Length == 0 ? path : Path.GetFullPath(path);
        }

        // systemd separates several by colons.
        var directory = Environment.GetEnvironmentVariable(RuntimeDirectoryVariable)?.Split(':')[0];
        return string.IsNullOrEmpty(directory) ? null : Path.Combine(directory, FileName);
    }

    /// <summary>Returns the name under which a new socket is prepared, so that nobody sees it half-made.</summary>
    public static string TemporaryOf(string path) => $"{path}.{Environment.ProcessId}";

    /// <summary>Says what is wrong with a path; <see langword="null"/> for nothing.</summary>
    public static string? Check(string path)
    {
        if (path.Length == 0)
        {
            return "must not be empty";
        }

        if (Encoding.UTF8.GetByteCount(path) > MostBytes)
        {
            return $"must have at most {MostBytes} bytes as a full path, which is the limit of a socket's name";
        }

        var directory = Path.GetDirectoryName(path) ?? path;
        if (FileFacts.Of(directory) is not { IsDirectory: true } facts)
        {
            return $"must be in a directory that exists, and {directory} is none";
        }

        if (facts.IsWritableByOthers || (facts.UserId != 0 && facts.UserId != LibC.GetUserId()))
        {
            return $"must be in a directory that belongs to the process's user or to root and that others cannot write "
                + $"to, because they could put a socket of their own there; {directory} is not such a directory";
        }

        var isTaken = FileFacts.Of(path) is { IsSocket: false };
        return isTaken ? "must be free or a socket, but is another kind of file" : null;
    }
}
