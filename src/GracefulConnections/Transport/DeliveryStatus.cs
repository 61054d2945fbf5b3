namespace GracefulConnections.Transport;

/// <summary>How far the output got.</summary>
/// <param name="Progress">Any change between two looks means that something moved.</param>
/// <param name="IsDelivered">The peer's kernel has everything and our FIN; where that cannot be seen, our kernel has it.</param>
/// <param name="IsReset">The kernel gave the connection up before everything was delivered.</param>
/// <param name="UnacknowledgedBytes">What the peer's kernel has not acknowledged; <see langword="null"/> where that cannot be seen.</param>
/// <param name="IsGone">This side has closed the socket already, which is an abort by somebody else: nothing can be seen any more.</param>
/// <param name="IsWindowClosed">The peer's kernel takes nothing more.</param>
internal readonly record struct DeliveryStatus(long Progress, bool IsDelivered, bool IsReset, long? UnacknowledgedBytes, bool IsGone = false, bool IsWindowClosed = false);
