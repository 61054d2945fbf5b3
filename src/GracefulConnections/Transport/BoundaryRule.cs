namespace GracefulConnections.Transport;

/// <summary>
/// Decides when a handler that waits in a read, with everything consumed, may be told that its connection is to close.
/// Nobody but the handler knows where its messages end, so silence stands for that, unless the handler says it by
/// message scopes.
/// </summary>
internal static class BoundaryRule
{
    /// <summary>Returns how much longer to wait before the read may be cancelled.</summary>
    /// <returns>Zero or less when the read may be cancelled now.</returns>
    public static TimeSpan GetWait(in Habit habit, in Silence silence, in BoundaryLimits limits)
    {
        var both = Min(silence.OfPeer, silence.OfHandler);
        return habit switch
        {
            // Half a TLS record may be half a message, and the handler that knows is inside of TLS.
            { IsOutsideTls: true } or { LeavesPart: true } => limits.MessageGap - both,
            { UsesScopes: true } => TimeSpan.Zero,
            { WasHandedBytes: false } => limits.QuietTime - both,
            { IsUnanswered: false, IsDuplex: false } =>
                Min(limits.QuietTime - silence.OfPeer, limits.MessageGap - silence.SinceRequest),
            _ => limits.MessageGap - both,
        };
    }

    /// <summary>Returns whether the handler may have read a part of a message whose rest has not come.</summary>
    public static bool MayHoldHalfMessage(in Habit habit) =>
        habit is { LeavesPart: true } or ({ UsesScopes: false } and ({ IsUnanswered: true } or { IsDuplex: true }));

    /// <summary>Returns whether a part of the peer's message may be missing if the read is cancelled.</summary>
    public static bool IsCutOff(in Habit habit) =>
        habit is { LeavesPart: true } or { IsUnanswered: true, UsesScopes: false };

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;
}
