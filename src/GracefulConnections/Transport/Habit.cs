namespace GracefulConnections.Transport;

/// <summary>What is known of how a handler takes its messages and answers them.</summary>
/// <param name="WasHandedBytes">A read has handed it at least one byte.</param>
/// <param name="IsUnanswered">A read handed it bytes after its last flush.</param>
/// <param name="IsDuplex">
/// It has flushed while its own read was pending, so a flush need not answer what was read last.
/// </param>
/// <param name="UsesScopes">It says by message scopes when it has a message in hand.</param>
/// <param name="IsOutsideTls">It is TLS, and the handler that knows the messages is inside of it.</param>
internal readonly record struct Habit(
    bool WasHandedBytes, bool IsUnanswered, bool IsDuplex, bool UsesScopes, bool IsOutsideTls)
{
    /// <summary>Gets whether it has left something of what it read in the pipe.</summary>
    public bool LeavesPart { get; init; }
}
