namespace GracefulConnections.Benchmarks.Hostile;

/// <summary>What the handler of a hostile connection does.</summary>
internal enum HostileHandler
{
    /// <summary>Sends back what it reads until its input ends or its read is cancelled.</summary>
    Echo,

    /// <summary>Writes and returns. The last write is not flushed.</summary>
    ReturnUnflushed,

    /// <summary>Completes its output, and reads on until its input ends.</summary>
    CompleteOutput,

    /// <summary>Completes its output with an exception.</summary>
    FailOutput,

    /// <summary>Throws. The last write is not flushed.</summary>
    Throw,

    /// <summary>Awaits two flushes at once.</summary>
    TwoFlushes,

    /// <summary>Returns with memory from <c>GetMemory</c>, and goes on writing to it.</summary>
    HeldMemory,

    /// <summary>Disposes its connection.</summary>
    Dispose,

    /// <summary>Aborts its connection.</summary>
    Abort,

    /// <summary>Returns while a task of its own goes on writing.</summary>
    BackgroundWriter,

    /// <summary>Waits for a request, is asked to close, and has a goodbye to say.</summary>
    Goodbye,
}
