using GracefulConnections.Pipeline;

namespace GracefulConnections;

/// <summary>
/// A message that a handler has in hand: <c>using (close.BeginMessage()) { ... }</c>. While a scope is open, a close request does not
/// cancel the handler's read. Scopes may be nested.
/// </summary>
/// <remarks>
/// Dispose it when the message is over. If the handler ends by an exception while a scope is open, the connection ends with RST
/// behind what was written, because a part is known to be missing. The scope of a <c>using</c> is closed by then, whichever way it
/// is left: leave the scope of a message without <c>using</c> open where half of it must not pass for the whole.
/// </remarks>
public readonly struct MessageScope : IDisposable, IEquatable<MessageScope>
{
    private readonly MessageScopeState? _state;

    internal MessageScope(MessageScopeState state) => _state = state;

    /// <summary>Returns whether both are the same scope.</summary>
    public static bool operator ==(MessageScope left, MessageScope right) => left.Equals(right);

    /// <summary>Returns whether the two are different scopes.</summary>
    public static bool operator !=(MessageScope left, MessageScope right) => !left.Equals(right);

    /// <summary>Ends the message. Does nothing the second time, or on a default value.</summary>
    public void Dispose() => _state?.End();

    /// <inheritdoc />
    public bool Equals(MessageScope other) => ReferenceEquals(_state, other._state);

    /// <inheritdoc />
    public override bool Equals(object? obj) => obj is MessageScope other && Equals(other);

    /// <inheritdoc />
    public override int GetHashCode() => _state?.GetHashCode() ?? 0;
}
