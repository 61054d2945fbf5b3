namespace GracefulConnections.Transport;

/// <summary>What has happened in the life of an output. Flags are only ever set.</summary>
[Flags]
internal enum SendFlags
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Nothing is written any more.</summary>
    Ending = 1,

    /// <summary>No FIN follows what was written.</summary>
    EndsByReset = 2,

    /// <summary>A writer may write to a block after the end.</summary>
    KeepsMemory = 4,

    /// <summary>The connection was aborted.</summary>
    Aborted = 8,

    /// <summary>Everything was sent, and our FIN.</summary>
    FinSent = 16,

    /// <summary>Everything was sent, and no FIN follows.</summary>
    AllSent = 32,

    /// <summary>Nothing is sent any more.</summary>
    Finished = 64,
}
