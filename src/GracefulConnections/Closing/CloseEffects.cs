namespace GracefulConnections.Closing;

/// <summary>
/// What a decision of <see cref="CloseMachine"/> asks for. The closer carries it out, without a lock held.
/// </summary>
[Flags]
internal enum CloseEffects
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Look at the connection now.</summary>
    Look = 1,

    /// <summary>Let the wheel look at it at once.</summary>
    Wake = 1 << 11,

    /// <summary>Look at it after the shortest time between two looks.</summary>
    LookSoon = 1 << 1,

    /// <summary>Look at it after the longest time between two looks.</summary>
    LookLater = 1 << 2,

    /// <summary>The request for the close was the first.</summary>
    Requested = 1 << 3,

    /// <summary>Send FIN behind the output, although the handler completed it with an exception.</summary>
    SendFin = 1 << 4,

    /// <summary>Count the connection as one that is closing.</summary>
    BeginClose = 1 << 5,

    /// <summary>Say the goodbye.</summary>
    SayGoodbye = 1 << 6,

    /// <summary>Give the goodbye up.</summary>
    ExpireGoodbye = 1 << 7,

    /// <summary>The flush is over that the goodbye waits for.</summary>
    ReleaseFlush = 1 << 8,

    /// <summary>The linger begins.</summary>
    Linger = 1 << 9,

    /// <summary>The connection has ended. Only once.</summary>
    End = 1 << 10,
}
