namespace GracefulConnections.Transport;

/// <summary>How long silence must last before it counts as the end of a message.</summary>
/// <param name="QuietTime">The endpoint's option.</param>
/// <param name="MessageGap">The endpoint's option.</param>
/// <param name="EndsParts">
/// Nothing else would ever end a handler that waits for the rest of a message which it has left in the pipe, as a
/// drain's deadline does.
/// </param>
internal readonly record struct BoundaryLimits(TimeSpan QuietTime, TimeSpan MessageGap, bool EndsParts = false);
