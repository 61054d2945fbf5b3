namespace GracefulConnections;

/// <summary>Why a close began. The first cause wins and is never replaced.</summary>
public enum CloseReason
{
    /// <summary>There is no reason: the connection does not close.</summary>
    None,

    /// <summary>The handler returned on its own account.</summary>
    HandlerCompleted,

    /// <summary>The handler threw, or completed its output with an exception.</summary>
    HandlerFaulted,

    /// <summary>The peer reset the connection, or the network reported it dead.</summary>
    PeerReset,

    /// <summary>The host is stopping: the server asked every connection to close.</summary>
    HostStopping,

    /// <summary>A drain asked for the close while the host goes on.</summary>
    Drain,

    /// <summary>No byte went either way for <see cref="GracefulCloseOptions.IdleTimeout"/>.</summary>
    IdleTimeout,

    /// <summary>The connection became older than <see cref="GracefulCloseOptions.MaxConnectionAge"/>.</summary>
    MaxConnectionAge,

    /// <summary>The application asked for the close, or aborted the connection.</summary>
    Application,

    /// <summary>The host is stopping because a successor has taken over its listening sockets.</summary>
    Handover,
}
