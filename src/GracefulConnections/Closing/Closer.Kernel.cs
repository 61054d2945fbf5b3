using System.Net.Sockets;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Closing;

/// <content>
/// A stop does not take back what the kernel delivers. On stock the server has let go of a connection whose handler has
/// returned; here it still holds it, and resets it when its stop takes too long.
/// </content>
internal sealed partial class Closer
{
    private Socket? Socket => connection.Find<IConnectionSocketFeature>()?.Socket;

    /// <summary>The server stops, or the connection's endpoint does. It may reset what is left at any time.</summary>
    public void OnServerStopping()
    {
        if (outer is null)
        {
            Rare.KeepsSocket = true;
            KeepSocket();
        }
    }

    /// <summary>Lets go of the socket's copy, so that an abort is one.</summary>
    public void ReleaseSocket() => TakeKept()?.Release();

    private static void Close(Socket socket)
    {
        try
        {
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // The peer or the server was faster.
        }

        socket.Dispose();
    }

    /// <summary>The connection has ended. What the kernel has of it goes on, if it may.</summary>
    private void LeaveToKernel(in CloseFacts facts)
    {
        var isLimit = facts is { State: CloseState.Closed, Result.Outcome: CloseOutcome.Aborted };
        if ((!isLimit && Volatile.Read(ref _rare) is not { Kept: not null }) || Socket is not { } socket)
        {
            return;
        }

        if (isLimit)
        {
            Guard(static (_, socket) => Close(socket), socket); // Else the server may be about to reset it.
        }

        if (isLimit || socket.SafeHandle.IsClosed)
        {
            _ = TakeKept()?.DeliverAsync();
        }
        else
        {
            ReleaseSocket();
        }
    }

    private KeptSocket? TakeKept() =>
        Volatile.Read(ref _rare) is { Kept: not null } rare ? Interlocked.Exchange(ref rare.Kept, null) : null;

    private void KeepSocket()
    {
        if (Volatile.Read(ref _rare) is not { KeepsSocket: true, Kept: null } rare
            || Facts is not { FinSent: true, EndsByReset: false, IsFinal: false } facts
            || !(Output.IsFinInKernel || facts.State == CloseState.Lingering)
            || Socket is not { } socket
            || KeptSocket.TryCreate(socket) is not { } kept)
        {
            return;
        }

        Interlocked.Exchange(ref rare.Kept, kept)?.Release();
        if (Facts.IsFinal)
        {
            ReleaseSocket();
        }
    }
}
