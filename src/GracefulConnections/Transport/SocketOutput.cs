using System.IO.Pipelines;
using System.Net.Sockets;

namespace GracefulConnections.Transport;

/// <summary>
/// Sends on the connection's own socket what the handler writes, and our FIN behind it. Whoever flushes sends: the thread that flushed runs the send loop
/// until the kernel takes no more, and the completion of that send goes on. So there is no reader to wake up and no task per connection.
/// </summary>
internal sealed class SocketOutput(Pipe pipe, long resumeWriterThreshold, Socket socket, SocketProbe probe, ITransportEvents events, Activity? activity = null)
    : TransportOutput(pipe.Writer, events, activity)
{
    private PipeReader _reader = pipe.Reader;

    // Zero: nobody sends. Otherwise somebody does, and looks again before leaving when the number has changed. Never zero again after the end.
    private int _signals;
    private int _finished;
    private long _sentBytes;
    private volatile bool _flushPending;
    private volatile bool _ending;
    private volatile bool _writerReleased;
    private volatile bool _aborted;
    private volatile bool _finSent;

    public override bool SeesAcknowledgements => probe.SeesAcknowledgements;

    public override bool CanHalfClose => true;

    public override long SentBytes => Volatile.Read(ref _sentBytes);

    public override bool IsWriteBlocked => _flushPending && WrittenBytes - SentBytes >= resumeWriterThreshold;

    public override DeliveryStatus GetDelivery()
    {
        var finSent = _finSent; // Read first: behind our FIN nothing is sent, so the number of sent bytes that is read next belongs to it.
        return probe.GetDelivery(WrittenBytes, SentBytes, finSent);
    }

    public override void Abort()
    {
        probe.ResetOnClose();
        _aborted = true;
        Signal();
    }

    /// <summary>Called when a send that <see cref="SendOperation.Start"/> left pending has ended.</summary>
    public void OnSendCompleted(SendOperation operation) => Send(operation);

    protected override ValueTask<FlushResult> OnFlushed(ValueTask<FlushResult> flush)
    {
        Signal();
        _flushPending = !flush.IsCompleted;
        return flush;
    }

    protected override void End(LeftOver leftOver)
    {
        if (leftOver == LeftOver.Send)
        {
            Writer.Complete(); // Commits what was not flushed.
        }

        _writerReleased = leftOver != LeftOver.DropAndKeepMemory;
        _ending = true;
        Signal();
        ReleaseMemory();
    }

    // Whichever of the two ends comes last gives the memory back. Never while a send reads from it, or while a writer may still write to it.
    protected override void ReleaseMemory()
    {
        if (_writerReleased && Volatile.Read(ref _finished) == 1)
        {
            Writer.Complete();
            _reader = null!; // Whoever sends has ended.
            ReleaseWriter();
        }
    }

    private void Signal()
    {
        if (Interlocked.Increment(ref _signals) == 1)
        {
            Send(null);
        }
    }

    private void Send(SendOperation? completed)
    {
        try
        {
            if (completed is null || CompleteSend(completed))
            {
                SendUntilNothingIsLeft();
            }
        }
        catch (InvalidOperationException exception)
        {
            // A handler that awaits two flushes at a time makes the pipe complete its reader. As in Kestrel that costs the connection, and nobody else anything.
            Finish();
            Events.OnFaulted(exception);
        }
    }

    private void SendUntilNothingIsLeft()
    {
        int seen;
        do
        {
            seen = Volatile.Read(ref _signals);
            if (!TrySendBuffered())
            {
                return;
            }
        }
        while (Interlocked.Add(ref _signals, -seen) != 0);
    }

    /// <returns><see langword="true"/> when nothing is left for now; <see langword="false"/> when a send is under way or the output has ended.</returns>
    private bool TrySendBuffered()
    {
        while (true)
        {
            var ending = _ending; // Read first: whatever was committed before it was set is seen below.
            if (_aborted)
            {
                Finish();
                return false;
            }

            if (!_reader.TryRead(out var result) || result.Buffer.IsEmpty)
            {
                if (ending || result.IsCompleted)
                {
                    SendFin();
                    return false;
                }

                return true;
            }

            probe.Start();
            var operation = SendOperationPool.Rent();
            try
            {
                if (operation.Start(this, socket, result.Buffer))
                {
                    return false; // From here on the completion owns the sending; it may be on its way already.
                }
            }
            catch (ObjectDisposedException exception)
            {
                SendOperationPool.Return(operation);
                Finish();
                Events.OnFaulted(exception);
                return false;
            }

            if (!CompleteSend(operation))
            {
                return false;
            }
        }
    }

    private bool CompleteSend(SendOperation operation)
    {
        var error = operation.SocketError;
        var sent = operation.BytesTransferred;
        var position = operation.Position;
        SendOperationPool.Return(operation);
        Volatile.Write(ref _sentBytes, _sentBytes + sent);
        if (error == SocketError.Success)
        {
            _reader.AdvanceTo(position);
            return true;
        }

        // These mean that the socket was closed under the send. Told first: the flush that returns next lets the handler return, and the first cause wins.
        Events.OnFaulted(error is SocketError.OperationAborted or SocketError.Interrupted or SocketError.NotSocket or SocketError.InvalidArgument
            ? new ObjectDisposedException(nameof(Socket))
            : new SocketException((int)error));
        Finish();
        return false;
    }

    private void SendFin()
    {
        probe.Start();
        Events.OnFinSending();
        try
        {
            // The managed Shutdown, not shutdown(2): the runtime remembers it, and without it Dispose turns a pending receive into RST.
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            Finish();
            Events.OnFaulted(exception);
            return;
        }

        _finSent = true;
        Finish();
        Events.OnFinSent();
    }

    private void Finish()
    {
        _reader.Complete(); // A blocked flush returns, and what was not sent is thrown away.
        Interlocked.Exchange(ref _finished, 1);
        ReleaseMemory();
    }
}
