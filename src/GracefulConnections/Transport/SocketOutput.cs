using System.IO.Pipelines;
using System.Net.Sockets;

namespace GracefulConnections.Transport;

/// <summary>
/// Sends on the connection's own socket what the handler writes, and our FIN behind it. The thread that flushed runs
/// the send loop until the kernel takes no more, and the completion of that send goes on.
/// </summary>
internal sealed class SocketOutput(
    Pipe pipe, Socket socket, SocketProbe probe, ITransportEvents events, Activity activity)
    : OwnedOutput(pipe, events, activity)
{
    public override bool SeesAcknowledgements => probe.SeesAcknowledgements;

    public override DeliveryStatus GetDelivery()
    {
        // Read first: behind our FIN nothing is sent, so the number of sent bytes that is read next belongs to it.
        var (finSent, allSent) = (IsFinSent, IsAllSent);
        return probe.GetDelivery(WrittenBytes, SentBytes, finSent, allSent);
    }

    public override void Abort(bool resets)
    {
        if (resets)
        {
            probe.ResetOnClose();
        }

        base.Abort(resets);
    }

    /// <summary>Called when a send that <see cref="SendOperation.Start"/> left pending has ended.</summary>
    public void OnSendCompleted(SendOperation operation) => Run(operation);

    protected override void Send() => Run(null);

    private void Run(SendOperation? completed)
    {
        try
        {
            if (completed is null || Complete(completed))
            {
                SendUntilNothingIsLeft();
            }
        }
        catch (Exception exception)
        {
            // The thread is the kernel's, or that of a handler which did nothing wrong. Whatever comes out of the
            // socket or of the one who is told costs this connection, and nobody else anything.
            Fail(exception);
        }
    }

    private void SendUntilNothingIsLeft()
    {
        int seen;
        do
        {
            seen = Signals();
            if (!TrySendBuffered())
            {
                return;
            }
        }
        while (HasMore(seen));
    }

    /// <returns>
    /// <see langword="true"/> when nothing is left for now; <see langword="false"/> when a send is under way or the
    /// output has ended.
    /// </returns>
    private bool TrySendBuffered()
    {
        while (true)
        {
            switch (Look(out var buffer))
            {
                case Next.Nothing:
                    return true;

                case Next.End:
                    SendEnd();
                    return false;

                case Next.Aborted:
                    Finish();
                    return false;
            }

            var operation = SendOperationPool.Rent();
            if (operation.Start(this, socket, buffer))
            {
                return false; // From here on the completion owns the sending; it may be on its way already.
            }

            if (!Complete(operation))
            {
                return false;
            }
        }
    }

    private bool Complete(SendOperation operation)
    {
        var error = operation.SocketError;
        var sent = operation.BytesTransferred;
        var position = operation.Position;
        SendOperationPool.Return(operation);
        if (error == SocketError.Success)
        {
            OnSent(position, sent);
            return true;
        }

        OnPartSent(sent);
        Fail(IsDisposal(error) ? new ObjectDisposedException(nameof(Socket)) : new SocketException((int)error));
        return false;
    }

    // These mean that the socket was closed under the send.
    private static bool IsDisposal(SocketError error) =>
        error is SocketError.OperationAborted
            or SocketError.Interrupted
            or SocketError.NotSocket
            or SocketError.InvalidArgument;

    private void SendEnd()
    {
        if (EndsWithReset)
        {
            FinishWithoutFin();
            return;
        }

        Events.OnFinSending();
        try
        {
            // The managed Shutdown, not shutdown(2): the runtime remembers it, and without it Dispose turns a pending
            // receive into RST.
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            Fail(exception);
            return;
        }

        FinishWithFin();
    }
}
