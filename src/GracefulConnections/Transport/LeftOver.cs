namespace GracefulConnections.Transport;

/// <summary>What to do with bytes that were written and not flushed when the output ends.</summary>
internal enum LeftOver
{
    /// <summary>They belong to the reply: send them, as Kestrel does when a handler returns.</summary>
    Send,

    /// <summary>The writer failed in the middle of something: leave them out.</summary>
    Drop,

    /// <summary>As <see cref="Drop"/>, and the writer may still be running with memory in hand that must not go back to the pool.</summary>
    DropAndKeepMemory,
}
