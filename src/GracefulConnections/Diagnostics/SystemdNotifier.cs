using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Diagnostics;

/// <summary>Tells systemd how far a stop is (the protocol of sd_notify(3)). Does nothing where no service manager listens.</summary>
internal sealed class SystemdNotifier(string? path, ILogger logger)
{
    public const string PathVariable = "NOTIFY_SOCKET";

    // "@" stands for the zero byte that begins the name of an abstract socket.
    private readonly UnixDomainSocketEndPoint? _endPoint =
        string.IsNullOrEmpty(path) ? null : new UnixDomainSocketEndPoint(path[0] == '@' ? '\0' + path[1..] : path);

    /// <summary>Returns the message that asks for more time to stop, counted from now.</summary>
    public static string ExtendTimeout(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"EXTEND_TIMEOUT_USEC={(long)time.TotalMicroseconds}");

    /// <summary>Sends one message. A service manager that does not listen costs nobody anything.</summary>
    public void Notify(string message)
    {
        if (_endPoint is null)
        {
            return;
        }

        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            socket.Blocking = false; // A service manager that is stuck must not hold up the drain.
            socket.SendTo(Encoding.UTF8.GetBytes(message), _endPoint);
        }
        catch (SocketException exception)
        {
            Log.NotifyFailed(logger, PathVariable, exception);
        }
    }
}
