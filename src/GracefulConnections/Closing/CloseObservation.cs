using GracefulConnections.Transport;

namespace GracefulConnections.Closing;

/// <summary>
/// What the closer sees just before a decision, without a lock held: the two directions, and what the event brings.
/// What an event does not need is left out, because a look at the kernel costs a system call.
/// </summary>
internal readonly record struct CloseObservation
{
    /// <summary>Gets how far the output got.</summary>
    public DeliveryStatus Delivery { get; init; }

    /// <summary>Gets whether the end of the output reaches the peer as FIN while we still read.</summary>
    public bool CanHalfClose { get; init; }

    /// <summary>Gets whether our FIN, once it was sent, is in the kernel.</summary>
    public bool IsFinInKernel { get; init; }

    /// <summary>Gets whether the peer's acknowledgements can be seen.</summary>
    public bool SeesAcknowledgements { get; init; }

    /// <summary>Gets whether it takes a system call to see how far the output got.</summary>
    public bool IsLookCostly { get; init; }

    /// <summary>Gets whether a flush is pending.</summary>
    public bool IsWriteBlocked { get; init; }

    /// <summary>Gets the bytes that left our buffer.</summary>
    public long SentBytes { get; init; }

    /// <summary>Gets the bytes that nobody consumed.</summary>
    public long DiscardedBytes { get; init; }

    /// <summary>Gets whether something of the peer's waits in the kernel.</summary>
    public bool IsBehind { get; init; }

    /// <summary>Gets whether the peer's FIN has arrived, and nothing before it is unread.</summary>
    public bool HasPeerFin { get; init; }

    /// <summary>Gets whether the input has told of a reset.</summary>
    public bool IsInputReset { get; init; }

    /// <summary>Gets whether nothing is missing, although the event looks like a fault: the input ended well.</summary>
    public bool IsWhole { get; init; }

    /// <summary>
    /// Gets why: with <see cref="CloseEvent.CloseRequested"/> and <see cref="CloseEvent.HandlerReturned"/>.
    /// </summary>
    public CloseReason Reason { get; init; }

    /// <summary>Gets how the output ends: with <see cref="CloseEvent.Sealed"/>.</summary>
    public LeftOver LeftOver { get; init; }

    /// <summary>Gets the longest silence accepted: with <see cref="CloseEvent.LingerCapped"/>.</summary>
    public TimeSpan Cap { get; init; }

    /// <summary>
    /// Gets how the close inside of TLS ended: with <see cref="CloseEvent.HandlerReturned"/> and
    /// <see cref="CloseEvent.InnerAborted"/>.
    /// </summary>
    public CloseResult? Inner { get; init; }

    /// <summary>Gets when the close inside of TLS began: with <see cref="Inner"/>.</summary>
    public TimeSpan InnerSince { get; init; }
}
