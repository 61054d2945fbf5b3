namespace GracefulConnections.Transport;

/// <summary>What is true of the input beside who uses it.</summary>
[Flags]
internal enum ReadFlags
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>The handler has cancelled a read, and no read was cancelled since.</summary>
    HandlerCancel = 1,

    /// <summary>
    /// The library has cancelled a read at some time. From then on a cancelled read is the library's unless the handler
    /// has cancelled one too, because two cancellations may become one cancelled read or two, and the later of them may
    /// come late.
    /// </summary>
    OurCancel = 1 << 1,

    /// <summary>A close was requested, and may cancel the handler's read.</summary>
    Asked = 1 << 2,

    /// <summary>Somebody wants to do something while no read is under way.</summary>
    PauseWanted = 1 << 3,

    /// <summary>Somebody does something while no read is under way, so none may begin.</summary>
    Paused = 1 << 4,

    /// <summary>No read may begin any more.</summary>
    Stopped = 1 << 5,

    /// <summary>What the peer sends may be discarded although the handler has only returned.</summary>
    DiscardDue = 1 << 6,

    /// <summary>The input has ended, or failed, while it was discarded.</summary>
    Over = 1 << 7,

    /// <summary>A close request has cancelled the handler's read.</summary>
    WasRefused = 1 << 8,

    /// <summary>It did so before the handler had answered what it had read last.</summary>
    CutOff = 1 << 9,

    /// <summary>The reader is another middleware's, or turned out to be: nothing is discarded from then on.</summary>
    Foreign = 1 << 10,

    /// <summary>The reader is that of TLS: discarding begins late. It never changes.</summary>
    Late = 1 << 11,
}
