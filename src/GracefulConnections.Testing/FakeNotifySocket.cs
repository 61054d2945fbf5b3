using System.Net.Sockets;
using System.Text;

namespace GracefulConnections.Testing;

/// <summary>
/// A service manager's notify socket (see sd_notify(3)): give its address to a service, and read what the service says.
/// Nobody reads by itself. The kernel keeps ten messages; after that the service's sends fail or wait.
/// </summary>
public sealed class FakeNotifySocket : IDisposable
{
    private const int MaxMessageBytes = 4096;

    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);

    /// <summary>Listens at a path of its own in the directory for temporary files.</summary>
    /// <exception cref="SocketException">The system has no Unix domain sockets for datagrams.</exception>
    public FakeNotifySocket()
        : this(Path.Combine(Path.GetTempPath(), $"graceful-{Guid.NewGuid():N}.notify"), isAbstract: false)
    {
    }

    private FakeNotifySocket(string name, bool isAbstract)
    {
        Address = isAbstract ? $"@{name}" : name;
        _socket.Bind(new UnixDomainSocketEndPoint(isAbstract ? $"\0{name}" : name));
    }

    /// <summary>Gets what the service's <c>NOTIFY_SOCKET</c> has to be.</summary>
    public string Address { get; }

    /// <summary>Gets whether a message waits.</summary>
    public bool HasMessage => _socket.Available > 0;

    /// <summary>Listens at an address that is in no file system. Only Linux has those.</summary>
    public static FakeNotifySocket CreateAbstract() => new($"graceful-notify-{Guid.NewGuid():N}", isAbstract: true);

    /// <summary>Waits for the next message.</summary>
    /// <returns>The message: lines of <c>NAME=value</c>, at most 4096 bytes.</returns>
    /// <exception cref="TimeoutException">None came within 60 s.</exception>
    public async Task<string> ReceiveAsync()
    {
        var buffer = new byte[MaxMessageBytes];
        var received = await _socket.ReceiveAsync(buffer).WithinLimit();
        return Encoding.UTF8.GetString(buffer, 0, received);
    }

    /// <summary>Collects messages until <paramref name="isLast"/> knows one to be the last.</summary>
    /// <param name="isLast">Whether a message is the last one to wait for.</param>
    /// <returns>The messages in the order received, the last included.</returns>
    /// <exception cref="TimeoutException">60 s passed without a message.</exception>
    public async Task<List<string>> ReceiveUntilAsync(Func<string, bool> isLast)
    {
        var messages = new List<string>();
        do
        {
            messages.Add(await ReceiveAsync());
        }
        while (!isLast(messages[^1]));

        return messages;
    }

    /// <summary>Ends to listen, and deletes the socket's file.</summary>
    public void Dispose() => _socket.Dispose(); // The runtime deletes the file of a socket that was bound.
}
