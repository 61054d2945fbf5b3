namespace GracefulConnections.Transport;

/// <summary>How long silence must last before it counts as the end of a message: the endpoint's options.</summary>
internal readonly record struct BoundaryLimits(TimeSpan QuietTime, TimeSpan MessageGap);
