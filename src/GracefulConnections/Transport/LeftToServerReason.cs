namespace GracefulConnections.Transport;

/// <summary>Why a connection's end is left to the server.</summary>
internal enum LeftToServerReason : byte
{
    /// <summary>It is not.</summary>
    None,

    /// <summary>
    /// Another middleware stands between the transport and us, or the transport is unknown: what becomes of a byte
    /// cannot be known.
    /// </summary>
    Wrapped,

    /// <summary>
    /// A middleware before us has written. What we send on the socket would overtake what waits in the server's pipe.
    /// </summary>
    WrittenBefore,
}
