using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Listening;

/// <summary>How two processes, and the log, name a listening socket's address.</summary>
internal static class ListenerAddress
{
    private const string UnixPrefix = "unix:";

    public static string Of(EndPoint endPoint) => endPoint is UnixDomainSocketEndPoint unix
        ? UnixPrefix + FullPath(unix.ToString())
        : $"{endPoint}";

    /// <summary>Returns the file of a Unix domain socket; <see langword="null"/> where there is none.</summary>
    public static string? FileOf(string address) =>
        address.StartsWith(UnixPrefix, StringComparison.Ordinal) && address[UnixPrefix.Length] != '@'
            ? address[UnixPrefix.Length..]
            : null;

    /// <summary>Returns a name that service managers accept for a stored descriptor (FDNAME in sd_notify(3)).</summary>
    public static string ToName(string address)
    {
        var letters = address.Select(static letter => letter is > ' ' and < '\x7F' and not ':' ? letter : '_');
        return $"listen-{string.Concat(letters)}";
    }

    // The successor may run in another directory. A name that begins with "@" is in no directory.
    private static string FullPath(string path) => path.StartsWith('@') ? path : Path.GetFullPath(path);
}
