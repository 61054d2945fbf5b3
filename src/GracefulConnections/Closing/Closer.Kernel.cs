using GracefulConnections.Transport;

namespace GracefulConnections.Closing;

/// <content>
/// A stop does not take back what the kernel delivers. On stock the server has let go of a connection whose handler has
/// returned; here it still holds it, and resets it when its stop takes too long.
/// </content>
internal sealed partial class Closer
{
    /// <summary>The server stops, or the connection's endpoint does. It may reset what is left at any time.</summary>
    public void OnServerStopping()
    {
        if (outer is null)
        {
            Rare.KeepsSocket = true;
            KeepSocket();
        }
    }

    /// <summary>Lets go of the socket's copy for good, so that an abort is one.</summary>
    public void ReleaseSocket()
    {
        if (Volatile.Read(ref _rare) is { } rare)
        {
            rare.KeepsSocket = false;
            TakeKept()?.Release();
        }
    }

    private void KeepSocket()
    {
        if (Volatile.Read(ref _rare) is not { KeepsSocket: true, Kept: null } rare
            || Facts is not { FinSent: true, EndsByReset: false, IsFinal: false } facts
            || !(Output.IsFinInKernel || facts.State == CloseState.Lingering)
            || KeptSocket.TryCreate(connection) is not { } kept)
        {
            return;
        }

        Interlocked.Exchange(ref rare.Kept, kept)?.Release();
        if (Facts.IsFinal || !rare.KeepsSocket)
        {
            TakeKept()?.Release();
        }
    }

    /// <summary>The connection has ended. What the kernel has of it goes on, if it may.</summary>
    private void LeaveToKernel(in CloseFacts facts)
    {
        if (TakeKept() is { } kept)
        {
            var isLimit = facts is { State: CloseState.Closed, Result.Outcome: CloseOutcome.Aborted };
            Guard(static (_, end) => end.kept.Leave(closes: end.isLimit), (kept, isLimit));
        }
    }

    private KeptSocket? TakeKept() =>
        Volatile.Read(ref _rare) is { Kept: not null } rare ? Interlocked.Exchange(ref rare.Kept, null) : null;
}
