using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace GracefulConnections.Listening;

/// <summary>Unix domain sockets that listen, whose files outlive the managed socket.</summary>
internal static class UnixListener
{
    /// <exception cref="SocketException">It cannot listen there.</exception>
    public static void Listen(Socket socket, UnixDomainSocketEndPoint endPoint)
    {
        var error = Bind(socket, endPoint);
        if (error == LibC.ErrorAddressInUse && TryRemoveAbandoned(endPoint))
        {
            error = Bind(socket, endPoint);
        }

        if (error != 0)
        {
            throw error == LibC.ErrorAddressInUse
                ? new SocketException((int)SocketError.AddressAlreadyInUse)
                : new SocketException((int)SocketError.SocketError, Marshal.GetPInvokeErrorMessage(error));
        }

        socket.Listen(); // At once, because a socket that does not listen looks abandoned to others.
    }

    /// <summary>
    /// Removes a socket's file, if that can be done: whoever cleans up may have removed its directory, or made it
    /// read-only. Nobody can do anything about it in the middle of a stop, and the runtime says nothing either.
    /// </summary>
    /// <returns>Whether it is gone.</returns>
    public static bool TryRemoveFile(string file)
    {
        try
        {
            File.Delete(file);
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    // Not the managed Bind, which would delete the file when the managed socket is disposed.
    private static int Bind(Socket socket, UnixDomainSocketEndPoint endPoint)
    {
        var address = endPoint.Serialize();
        var isBound = LibC.Bind(socket.SafeHandle, address.Buffer.Span[..address.Size], address.Size) == 0;
        return isBound ? 0 : Marshal.GetLastPInvokeError();
    }

    // A process that was killed leaves its file. So does one that stopped while its successor was starting, if the
    // successor never came to serve.
    private static bool TryRemoveAbandoned(UnixDomainSocketEndPoint endPoint)
    {
        if (ListenerAddress.FileOf(ListenerAddress.Of(endPoint)) is not { } file
            || FileFacts.Of(file) is not { IsSocket: true } facts)
        {
            return false;
        }

        using var peer = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        peer.Blocking = false; // A full queue would hold this process.
        try
        {
            peer.Connect(endPoint);
            return false;
        }
        catch (SocketException exception)
        {
            var isAbandoned = exception.SocketErrorCode == SocketError.ConnectionRefused
                && FileFacts.Of(file)?.Inode == facts.Inode;
            return isAbandoned && TryRemoveFile(file);
        }
    }
}
