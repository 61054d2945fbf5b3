using System.Globalization;
using System.Net.Sockets;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Listening;

/// <summary>
/// The service manager that started this process, if there is one: its sockets (sd_listen_fds(3)), and what it is told
/// of them (sd_notify(3)).
/// </summary>
internal sealed class ServiceManager(ILogger logger)
{
    private const string ProcessVariable = "LISTEN_PID";
    private const string CountVariable = "LISTEN_FDS";
    private const string NamesVariable = "LISTEN_FDNAMES";
    private const int FirstDescriptor = 3; // SD_LISTEN_FDS_START.
    private const int SendLimitMicroseconds = 1_000_000;

    private readonly string? _path = Environment.GetEnvironmentVariable(SystemdNotifier.PathVariable);

    /// <summary>
    /// Returns the listening sockets that were passed to this process, and leaves other descriptors alone.
    /// </summary>
    public static IEnumerable<ListeningSocket> TakePassed()
    {
        if (ReadNumber(ProcessVariable) != Environment.ProcessId)
        {
            yield break; // They are another process's, whose environment this one inherited.
        }

        var count = ReadNumber(CountVariable) ?? 0;
        var names = Environment.GetEnvironmentVariable(NamesVariable)?.Split(':') ?? [];
        for (var i = 0; i < count; i++)
        {
            var descriptor = FirstDescriptor + i;
            if (LibC.TrySetCloseOnExec(descriptor) && ListeningSocket.AddressOf(descriptor) is { } address)
            {
                var isStored = names.ElementAtOrDefault(i) == ListenerAddress.ToName(address);
                yield return new ListeningSocket(new Descriptor(descriptor), address)
                {
                    IsKept = true,
                    IsStored = isStored,
                    IsOfUnit = !isStored,
                };
            }
        }
    }

    /// <summary>
    /// Leaves a socket with the service manager, so that it outlives this process. Not one that has a file: whether the
    /// manager keeps it is not told, so nobody would know whether to remove the file.
    /// </summary>
    public void Store(ListeningSocket socket) => // FDPOLL=0: the manager would drop a socket with a waiting connection.
        Notify($"FDSTORE=1\nFDNAME={ListenerAddress.ToName(socket.Address)}\nFDPOLL=0", socket.Descriptor);

    /// <summary>The service manager need not keep a socket any longer.</summary>
    public void Forget(string address) => Notify($"FDSTOREREMOVE=1\nFDNAME={ListenerAddress.ToName(address)}");

    /// <summary>From now on another process is the service's main process.</summary>
    public void SetMainProcess(int processId) =>
        Notify(string.Create(CultureInfo.InvariantCulture, $"MAINPID={processId}"));

    private static int? ReadNumber(string variable) =>
        Environment.GetEnvironmentVariable(variable) is { } text
        && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : null;

    private void Notify(string message, Descriptor? descriptor = null)
    {
        if (string.IsNullOrEmpty(_path))
        {
            return;
        }

        try
        {
            // "@" stands for the zero byte that begins the name of an abstract socket.
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            socket.Connect(new UnixDomainSocketEndPoint(_path[0] == '@' ? '\0' + _path[1..] : _path));
            socket.Poll(SendLimitMicroseconds, SelectMode.SelectWrite); // It reads ten messages later at most.
            new DescriptorMessage(message, descriptor).Send(socket);
        }
        catch (Exception exception) when (exception is SocketException or IOException or ArgumentException)
        {
            Log.ServiceManagerNotTold(logger, SystemdNotifier.PathVariable, message.Split('\n')[0], exception);
        }
    }
}
