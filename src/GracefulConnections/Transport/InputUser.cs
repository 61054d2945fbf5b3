namespace GracefulConnections.Transport;

/// <summary>What the handler does with its input. From <see cref="Refused"/> on it can only move forward.</summary>
internal enum InputUser
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Its own thread is inside of a read that does not wait.</summary>
    Reads,

    /// <summary>It waits for a read.</summary>
    Waits,

    /// <summary>It holds a buffer.</summary>
    Holds,

    /// <summary>A close request cancelled its read, and so is every later one.</summary>
    Refused,

    /// <summary>It completed the reader.</summary>
    Completed,

    /// <summary>It has returned.</summary>
    Closed,
}
