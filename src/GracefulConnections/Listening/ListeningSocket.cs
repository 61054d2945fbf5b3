using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Listening;

/// <summary>A socket that listens, or is about to, and may be held by other processes too.</summary>
internal sealed class ListeningSocket(Descriptor descriptor, string address) : IDisposable
{
    private const string EventQueue = "anon_inode:[eventpoll]";
    private const int RemoveFromQueue = 2; // EPOLL_CTL_DEL.

    // Where a listener was found: the runtime makes its queues all at once and keeps them.
    private static List<int>? _eventQueues;

    public Descriptor Descriptor { get; } = descriptor;

    /// <summary>Gets its name, the same in each process.</summary>
    public string Address { get; } = address;

    /// <summary>Gets a value indicating whether the next process can ask for the same address.</summary>
    public bool CanBeHandedOver { get; private init; } = true;

    /// <summary>Gets a value indicating whether the service manager keeps it and it outlives every process.</summary>
    public bool IsKept { get; init; }

    /// <summary>
    /// Gets a value indicating whether the service's unit brought it, so that the application may know it by its number
    /// and use it without an endpoint.
    /// </summary>
    public bool IsOfUnit { get; init; }

    /// <summary>
    /// Gets a value indicating whether the service manager keeps it because a process has left it there. So it can be
    /// asked to forget it, unlike one of the unit's. Of a socket that the predecessor passed this is not known.
    /// </summary>
    public bool IsStored { get; init; }

    /// <summary>Gets the file of a Unix domain socket; <see langword="null"/> where there is none.</summary>
    public string? File => ListenerAddress.FileOf(Address);

    /// <summary>
    /// Gets a value indicating whether its file was removed, so that no peer finds it any more, as by a script that
    /// makes room for the next process. The service manager may see other directories than this process.
    /// </summary>
    public bool HasLostItsFile => !IsKept && File is { } file && FileFacts.IsMissing(file);

    /// <exception cref="AddressInUseException">Another process has the address.</exception>
    /// <exception cref="SocketException">The address cannot be bound.</exception>
    public static ListeningSocket Bind(EndPoint endPoint)
    {
        using var socket = endPoint is UnixDomainSocketEndPoint
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        if (endPoint is IPEndPoint ip && ip.Address.Equals(IPAddress.IPv6Any))
        {
            socket.DualMode = true; // As Kestrel's own transport has it.
        }

        try
        {
            if (endPoint is UnixDomainSocketEndPoint unix)
            {
                UnixListener.Listen(socket, unix);
            }
            else
            {
                socket.Bind(endPoint);
            }
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            throw new AddressInUseException(exception.Message, exception);
        }

        // It has never accepted, so the disposal of the managed one is a plain close(2).
        return new ListeningSocket(Descriptor.DuplicateOf(socket), ListenerAddress.Of(endPoint))
        {
            CanBeHandedOver = endPoint is not IPEndPoint { Port: 0 },
        };
    }

    /// <summary>Looks at a descriptor of which only its number is known.</summary>
    /// <returns>Its address, or <see langword="null"/> if it is no socket that listens for streams.</returns>
    public static string? AddressOf(int descriptor)
    {
        try
        {
            using Socket view = new(new SafeSocketHandle(descriptor, ownsHandle: false));
            var isListening = view.SocketType == SocketType.Stream
                && view.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.AcceptConnection) is 1;
            return isListening && view.LocalEndPoint is { } endPoint ? ListenerAddress.Of(endPoint) : null;
        }
        catch (SocketException)
        {
            return null;
        }
    }

    /// <summary>
    /// Returns the event queues of this process. It looks at every descriptor, but only once: a server may have
    /// hundreds of endpoints and thousands of connections.
    /// </summary>
    /// <returns>None if the process has no descriptor left to look with: a server must stop in that case too.</returns>
    public static List<int> FindEventQueues()
    {
        if (Volatile.Read(ref _eventQueues) is { } known)
        {
            return known;
        }

        try
        {
            return
            [
                .. new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos()
                    .Where(static descriptor => descriptor.LinkTarget == EventQueue)
                    .Select(static descriptor => int.Parse(descriptor.Name, CultureInfo.InvariantCulture)),
            ];
        }
        catch (IOException)
        {
            return [];
        }
    }

    /// <summary>Gets whether a connection waits to be accepted.</summary>
    public bool HasWaiting()
    {
        using var view = Descriptor.View();
        return view.Poll(0, SelectMode.SelectRead);
    }

    /// <summary>
    /// Closes this process's hold on the socket in one system call, and keeps the number of the descriptor, so that
    /// nothing else gets it while Kestrel still uses it. Without a descriptor for the replacement the socket is closed
    /// later, by <see cref="Dispose"/>.
    /// </summary>
    public void CloseButKeepNumber()
    {
        try
        {
            using var nothing = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            _ = LibC.Replace(nothing.SafeHandle, Descriptor, LibC.CloseOnExec);
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.TooManyOpenSockets)
        {
            return;
        }
    }

    /// <summary>
    /// Takes the socket out of the runtime's event queue. The runtime leaves that to close(2), but the queue forgets a
    /// socket only when no process holds it any longer. This process would wake at each connect of its successor. And
    /// if it got the same socket under the same number again, its next listener could not accept: the queue refuses a
    /// second entry (EEXIST), and Kestrel gives up.
    /// </summary>
    public void LeaveEventQueues(List<int> queues)
    {
        // Other queues do not have it.
        if (queues.FindAll(queue => LibC.ControlEvents(queue, RemoveFromQueue, Descriptor, 0) == 0).Count > 0)
        {
            Volatile.Write(ref _eventQueues, queues);
        }
    }

    /// <summary>Leaves the descriptor open, to whoever uses its number.</summary>
    public void Leave() => Descriptor.SetHandleAsInvalid();

    public void Dispose() => Descriptor.Dispose();
}
