using System.Net;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Listening;

/// <summary>An endpoint's listener: the transport's own, over a socket that the transport does not own.</summary>
internal sealed class HandoverListener(
    ListeningSockets sockets, ListeningSocket socket, IConnectionListener inner, bool wasPassed, TimeProvider time)
    : IConnectionListener
{
    private static readonly TimeSpan SweepLimit = TimeSpan.FromMilliseconds(200);

    private readonly TaskCompletionSource _unbinding = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _isClosed;

    public EndPoint EndPoint => inner.EndPoint;

    public ListeningSocket Socket => socket;

    /// <summary>Gets whether the socket was passed to this process, and not bound by it.</summary>
    public bool WasPassed => wasPassed;

    // A process that dies while it starts has accepted nothing, and its predecessor goes on with the same queue.
    public ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default) =>
        sockets.Opened.IsCompleted ? inner.AcceptAsync(cancellationToken) : AcceptOnceOpenedAsync(cancellationToken);

    public async ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        if (Interlocked.Exchange(ref _isClosed, 1) != 0)
        {
            return;
        }

        if (sockets.IsHeldByOthers(socket))
        {
            socket.LeaveEventQueues(ListeningSocket.FindEventQueues());
            await UnbindInnerAsync(cancellationToken).ConfigureAwait(false);
            sockets.TakeBack(this);
            return;
        }

        if (sockets.Opened.IsCompleted)
        {
            var queues = ListeningSocket.FindEventQueues(); // Before the sweep, behind which every moment counts.
            await SweepAsync().ConfigureAwait(false);
            socket.LeaveEventQueues(queues); // Its number is another socket's behind the next line.
            socket.CloseButKeepNumber();
        }

        // The runtime does so for a socket of its own. One that was passed is the predecessor's until this process
        // serves, and the service manager's if that keeps it.
        if (socket is { File: { } file, IsKept: false }
            && !sockets.AreLeftToSuccessor
            && (sockets.Opened.IsCompleted || !wasPassed))
        {
            UnixListener.TryRemoveFile(file);
        }

        await CloseAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Stops accepting, because another process accepts from the same queue.</summary>
    public async ValueTask HandOverAsync()
    {
        if (Interlocked.Exchange(ref _isClosed, 1) == 0)
        {
            socket.LeaveEventQueues(ListeningSocket.FindEventQueues());
            await CloseAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }

    public ValueTask DisposeAsync() => inner.DisposeAsync();

    // Kestrel's accept loop is still running, and takes what waits. What is in the queue at the close is reset.
    private async ValueTask SweepAsync()
    {
        var started = time.GetTimestamp();
        while (socket.HasWaiting() && time.GetElapsedTime(started) < SweepLimit)
        {
            await Task.Yield();
        }
    }

    private async ValueTask CloseAsync(CancellationToken cancellationToken)
    {
        await UnbindInnerAsync(cancellationToken).ConfigureAwait(false);
        sockets.Remove(this);
        socket.Dispose();
    }

    private async ValueTask UnbindInnerAsync(CancellationToken cancellationToken)
    {
        await inner.UnbindAsync(cancellationToken).ConfigureAwait(false);
        _unbinding.TrySetResult();
    }

    private async ValueTask<ConnectionContext?> AcceptOnceOpenedAsync(CancellationToken cancellationToken)
    {
        await Task.WhenAny(sockets.Opened, _unbinding.Task).WaitAsync(cancellationToken).ConfigureAwait(false);
        return await inner.AcceptAsync(cancellationToken).ConfigureAwait(false); // null when it was unbound.
    }
}
