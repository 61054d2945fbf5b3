namespace GracefulConnections.Transport;

/// <summary>What a transition of <see cref="ReadTransitions"/> leaves to the thread that made it.</summary>
internal enum ReadStep
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>The call is an error in this state, and nothing has changed.</summary>
    Fail,

    /// <summary>The thread owns the transport's reader now.</summary>
    Own,

    /// <summary>The handler waits, and somebody else reads for it.</summary>
    Wait,

    /// <summary>The thread still owns the reader, and reads for the handler.</summary>
    Read,

    /// <summary>The thread still owns the reader, and reads to discard.</summary>
    Discard,

    /// <summary>The result is the handler's, and the reader is free.</summary>
    Hand,

    /// <summary>No read is under way: the thread does what was to be done then, and resumes.</summary>
    Pause,

    /// <summary>The thread cancels the pending read.</summary>
    Cancel,

    /// <summary>The thread tells the handler, which waited, that its read was cancelled.</summary>
    Wake,
}
