namespace GracefulConnections.Transport;

/// <summary>How far the output got.</summary>
/// <param name="Progress">Any change between two looks means that something moved.</param>
/// <param name="IsDelivered">
/// The peer's kernel has everything and our FIN. Where that cannot be seen, our kernel has it.
/// </param>
/// <param name="IsReset">The kernel gave the connection up before everything was delivered.</param>
/// <param name="UnacknowledgedBytes">
/// At most so much is missing at the peer's kernel; <see langword="null"/> where that cannot be seen.
/// </param>
/// <param name="IsGone">
/// This side has closed the socket already, which is an abort by somebody else: nothing can be seen any more.
/// </param>
/// <param name="IsWindowClosed">The peer's kernel takes nothing more.</param>
/// <param name="IsInKernel">Everything written and our FIN were handed to the kernel.</param>
/// <param name="IsOnlyFinMissing">Everything was acknowledged but our FIN.</param>
/// <param name="IsAllAcknowledged">
/// Everything that is to be sent was acknowledged, whatever became of our FIN. Where that cannot be seen, our kernel
/// has it.
/// </param>
internal readonly record struct DeliveryStatus(
    long Progress,
    bool IsDelivered,
    bool IsReset,
    long? UnacknowledgedBytes,
    bool IsGone = false,
    bool IsWindowClosed = false,
    bool IsInKernel = false,
    bool IsOnlyFinMissing = false,
    bool IsAllAcknowledged = false);
