using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Diagnostics;

/// <summary>
/// Tells systemd how far a stop is (the protocol of sd_notify(3)). Does nothing where no service manager listens.
/// </summary>
internal sealed class SystemdNotifier(string? path, ILogger logger)
{
    public const string PathVariable = "NOTIFY_SOCKET";

    private volatile bool _isSilent;

    /// <summary>Returns the message that asks for more time to stop, counted from now.</summary>
    public static string ExtendTimeout(TimeSpan time) =>
        string.Create(CultureInfo.InvariantCulture, $"EXTEND_TIMEOUT_USEC={(long)time.TotalMicroseconds}");

    /// <summary>From now on nothing is sent.</summary>
    public void Silence() => _isSilent = true;

    /// <summary>Sends one message. A service manager that does not listen costs nobody anything.</summary>
    public void Notify(string message)
    {
        if (_isSilent || string.IsNullOrEmpty(path))
        {
            return;
        }

        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            socket.Blocking = false; // A service manager that is stuck must not hold up the drain.

            // "@" stands for the zero byte that begins the name of an abstract socket.
            var address = new UnixDomainSocketEndPoint(path[0] == '@' ? '\0' + path[1..] : path);
            socket.SendTo(Encoding.UTF8.GetBytes(message), address);
        }
        catch (Exception exception) when (exception is SocketException or ArgumentException)
        {
            // Nobody listens, or the path is none: it may be too long.
            Log.NotifyFailed(logger, PathVariable, exception);
        }
    }
}
