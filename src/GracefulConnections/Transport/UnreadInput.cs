namespace GracefulConnections.Transport;

/// <summary>Whether the peer has sent bytes that the input reader has not seen yet.</summary>
internal enum UnreadInput
{
    /// <summary>None: every byte that the kernel received was seen.</summary>
    None,

    /// <summary>Some are on their way and will complete the pending read.</summary>
    Some,

    /// <summary>None in the kernel, but there may be some between the kernel and the reader at this very moment.</summary>
    Unknown,
}
