using System.Buffers;

namespace GracefulConnections.Transport;

/// <summary>Where <see cref="SendLoop"/> sends. Asked for one thing at a time, but for an abort and a look.</summary>
internal interface ISendSink
{
    /// <summary>Gets whether the peer's acknowledgements can be seen.</summary>
    bool SeesAcknowledgements { get; }

    /// <summary>Gets whether <see cref="GetDelivery"/> is a system call right behind our FIN.</summary>
    bool IsLookCostly => false;

    /// <summary>Gets whether what it took is in the kernel. Code of others may hold it, and a call, for ever.</summary>
    bool IsKernel { get; }

    /// <summary>Gets whether the kernel is known to have everything that it took, the output's end included.</summary>
    bool HasPassedOn => IsKernel;

    /// <summary>Gets whether this side has closed what it sends to, as an abort of the server's does.</summary>
    bool IsClosed => false;

    /// <summary>Gets whether the end of the output reaches the peer as FIN while we still read.</summary>
    bool CanHalfClose { get; }

    /// <summary>
    /// Gets whether it holds a small send back until the one before was acknowledged. Then flushes that follow each
    /// other at once should be sent together, as the server's own transport mostly does.
    /// </summary>
    /// <param name="hasSent">Whether anything was sent before.</param>
    bool HoldsSmallSends(bool hasSent) => false;

    /// <summary>Sends from the front of <paramref name="buffer"/>, and uses it until the result is there.</summary>
    /// <returns>How much was taken. A failure is an exception, here or in the task.</returns>
    ValueTask<long> SendAsync(in ReadOnlySequence<byte> buffer);

    /// <summary>Sends our FIN, or what stands for it. Nothing is sent after it.</summary>
    ValueTask EndAsync(long writtenBytes, long sentBytes);

    /// <summary>Looks how far the output got.</summary>
    /// <param name="writtenBytes">The bytes that the handler wrote.</param>
    /// <param name="sentBytes">The bytes of them that were taken.</param>
    /// <param name="finSent">Whether our FIN was sent behind them.</param>
    /// <param name="allSent">Whether nothing more is to be sent, and no FIN.</param>
    DeliveryStatus GetDelivery(long writtenBytes, long sentBytes, bool finSent, bool allSent);

    /// <summary>Returns the first segment that holds anything.</summary>
    static ReadOnlyMemory<byte> FirstOf(in ReadOnlySequence<byte> buffer)
    {
        foreach (var segment in buffer)
        {
            if (!segment.IsEmpty)
            {
                return segment;
            }
        }

        return default;
    }

    /// <summary>Ends a call that is under way, if it can be ended.</summary>
    /// <param name="resets">Whether the close of the socket that follows is to send RST.</param>
    void Abort(bool resets);
}
