namespace GracefulConnections.Transport;

/// <summary>Who uses the transport's reader at this moment.</summary>
internal enum InnerUse
{
    /// <summary>Nobody.</summary>
    Free,

    /// <summary>One thread, its owner, is inside of it or about to be. Only the owner leaves this state.</summary>
    Call,

    /// <summary>A read of it is pending. Whoever completes that read becomes the owner.</summary>
    Pend,
}
