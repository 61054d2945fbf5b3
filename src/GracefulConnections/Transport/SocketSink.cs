using System.Buffers;
using System.Net.Sockets;

namespace GracefulConnections.Transport;

/// <summary>Sends on the connection's own socket: all segments in one call, on the thread that flushed.</summary>
internal sealed class SocketSink(Socket socket, KernelQueue queue) : ISendSink
{
    public bool SeesAcknowledgements => queue.SeesAcknowledgements;

    public bool IsKernel => true;

    public bool CanHalfClose => true;

    public ValueTask<long> SendAsync(in ReadOnlySequence<byte> buffer) =>
        SendOperation.Rent().SendAsync(socket, buffer);

    public ValueTask EndAsync(long writtenBytes, long sentBytes)
    {
        // The managed Shutdown, not shutdown(2): the runtime remembers it, and without it Dispose turns a pending
        // receive into RST.
        socket.Shutdown(SocketShutdown.Send);
        return default;
    }

    public DeliveryStatus GetDelivery(long writtenBytes, long sentBytes, bool finSent, bool allSent) =>
        queue.GetDelivery(writtenBytes, sentBytes, finSent, allSent);

    // A send that is under way ends when the server closes the socket.
    public void Abort(bool resets)
    {
        if (resets)
        {
            queue.ResetOnClose();
        }
    }
}
