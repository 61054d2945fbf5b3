using System.Buffers;

namespace GracefulConnections.Transport;

/// <summary>
/// What the kernel says of a connection's queues, and the sink that sends to the kernel. The kernel is asked about its
/// own queues, and its totals are never compared with ours, because somebody else may read or send as well.
/// </summary>
/// <remarks>
/// A connection without a socket may bring a kernel of its own, as a feature of this type. It must also be an
/// <see cref="ISocketOwner"/>.
/// </remarks>
internal abstract class KernelQueue : ISendSink
{
    /// <summary>
    /// Gets whether it is a Unix domain socket. Its send queue holds what the peer has not read, in the kernel's own
    /// accounting: changes mean something, the value does not. What was sent is at the peer, so it is acknowledged.
    /// </summary>
    public bool IsUnix { get; protected init; }

    /// <summary>
    /// Gets whether the send queue can be trusted: it holds what the peer's kernel did not acknowledge of the bytes and
    /// our FIN. If not, delivered means handed to the kernel.
    /// </summary>
    public bool SeesAcknowledgements { get; protected init; }

    public virtual bool IsLookCostly => false;

    public bool IsKernel => true;

    public virtual bool IsClosed => false;

    public bool CanHalfClose => true;

    public virtual bool HoldsSmallSends(bool hasSent) => false;

    /// <summary>Gets whether <see cref="TryGetTcpInfo"/> tells anything while the connection is open.</summary>
    protected abstract bool SeesTcpInfo { get; }

    /// <summary>Gets whether no operation has found the connection reset.</summary>
    protected abstract bool IsConnected { get; }

    public abstract ValueTask<long> SendAsync(in ReadOnlySequence<byte> buffer);

    public abstract ValueTask EndAsync(long writtenBytes, long sentBytes);

    /// <param name="length">The length of the send queue, or -1 where it cannot be trusted.</param>
    /// <returns><see langword="false"/> when this side has disposed the socket.</returns>
    public abstract bool TryGetSendLength(out int length);

    /// <summary>
    /// Gets how many of the peer's bytes nobody has read from the kernel; 0 for a socket that is over.
    /// </summary>
    public abstract int GetUnreadLength();

    /// <summary>Gets what the kernel tells of the connection. Only on plain TCP, while the socket is open.</summary>
    public abstract bool TryGetTcpInfo(out TcpInfo info);

    /// <summary>
    /// Makes the next close of the socket send RST, also after our FIN and whatever the transport sets.
    /// </summary>
    public abstract void ResetOnClose();

    // A send that is under way ends when the server closes the socket.
    public void Abort(bool resets)
    {
        if (resets)
        {
            ResetOnClose();
        }
    }

    /// <summary>
    /// Gets whether anybody has sent on the connection. Ask before we send. <see langword="false"/> where everything
    /// that was sent was acknowledged and the kernel does not tell of it.
    /// </summary>
    public bool HasSentBefore() =>
        (TryGetSendLength(out var queued) && queued > 0) || (TryGetTcpInfo(out var info) && info.SentBytes > 0);

    /// <summary>
    /// Gets whether something of the peer's waits in the kernel: bytes, or, where that can be seen, the end of the
    /// connection. Ask it only while the reader has not seen the end.
    /// </summary>
    public bool IsBehind() =>
        GetUnreadLength() > 0
        || (TryGetTcpInfo(out var info)
            && info.State is not (TcpInfo.Established or TcpInfo.FinWait1 or TcpInfo.FinWait2));

    /// <summary>
    /// Gets the time since bytes of the peer's arrived, or since it connected; <see langword="null"/> where that cannot
    /// be seen.
    /// </summary>
    public TimeSpan? SinceReceived() => TryGetTcpInfo(out var info) ? info.SinceReceived : null;

    /// <summary>
    /// Gets whether the kernel gave the connection up. Where that cannot be seen: whether an operation found it reset,
    /// or our end was sent.
    /// </summary>
    public bool IsOver(bool finSent) =>
        SeesTcpInfo ? !TryGetTcpInfo(out var info) || info.State == TcpInfo.Closed : finSent || !IsConnected;

    /// <summary>
    /// Gets whether the connection was reset and no FIN of the peer's came before, which Linux counts as one more
    /// received byte. <see langword="false"/> where that cannot be seen, and where somebody else has read.
    /// </summary>
    public bool IsResetBeforeFin(long seenBytes) =>
        TryGetTcpInfo(out var info) && info.State == TcpInfo.Closed && info.ReceivedBytes == seenBytes;

    /// <summary>
    /// Gets whether both sides have said their end by FIN, which Linux counts as one more received byte, and every byte
    /// before the peer's was seen. <see langword="false"/> where that cannot be seen, and where somebody else has read.
    /// </summary>
    public bool IsClosedByFin(long seenBytes) => TryGetTcpInfo(out var info)
        && info.State == TcpInfo.Closed
        && info.ReceivedBytes == seenBytes + 1
        && GetUnreadLength() == 0
        && !HasError(); // A reset, behind one byte that nobody has read.

    /// <summary>
    /// Gets whether the kernel holds an error, such as the peer's reset, that no operation has fetched: where nothing
    /// reads and nothing sends. <see langword="false"/> where that cannot be seen.
    /// </summary>
    public bool HasUnnoticedReset() => TryGetTcpInfo(out var info) && info.State == TcpInfo.Closed && HasError();

    /// <summary>Looks how far the output got. One call of the kernel's where everything was acknowledged.</summary>
    public DeliveryStatus GetDelivery(long writtenBytes, long sentBytes, bool finSent, bool allSent = false)
    {
        allSent |= finSent || writtenBytes == sentBytes;
        if (!TryGetSendLength(out var queued))
        {
            // What was sent on a Unix domain socket is at the peer, whatever became of the socket.
            long? left = IsUnix && writtenBytes == sentBytes ? 0 : null;
            return new DeliveryStatus(sentBytes, IsDelivered: false, IsReset: false, left, IsGone: true);
        }

        if (IsUnix || queued <= 0)
        {
            // Of a send that a Unix peer holds up, the kernel may have taken a part: it tells only at the send's end.
            long? left = !IsUnix && queued == 0 ? writtenBytes - sentBytes
                : IsUnix && writtenBytes == sentBytes ? 0
                : null;
            return new DeliveryStatus(
                HashCode.Combine(sentBytes, queued, 0L),
                finSent,
                IsReset: false,
                left,
                IsInKernel: finSent,
                IsAllAcknowledged: allSent);
        }

        // A queue that is refilled as fast as it empties keeps its length: there the total tells that it moves.
        var isReset = TryGetTcpInfo(out var info) && info.State == TcpInfo.Closed;
        if (isReset && (!TryGetSendLength(out queued) || queued == 0))
        {
            return GetDelivery(writtenBytes, sentBytes, finSent, allSent); // Closed by both FINs between the looks.
        }

        // Of a send that is under way the kernel has taken a part, which counts on both sides until the send has ended.
        var fin = finSent ? 1 : 0;
        var missing = Math.Min(writtenBytes - sentBytes + queued - fin, Math.Max(writtenBytes, queued));
        return new DeliveryStatus(
            HashCode.Combine(sentBytes, queued, info.AcknowledgedBytes),
            IsDelivered: false,
            isReset,
            missing,
            IsWindowClosed: info.IsWindowClosed,
            IsInKernel: finSent,
            IsOnlyFinMissing: finSent && queued == 1,
            IsAllAcknowledged: allSent && queued == fin);
    }

    /// <summary>Gets whether the kernel holds an error that no operation has fetched.</summary>
    protected abstract bool HasError();
}
