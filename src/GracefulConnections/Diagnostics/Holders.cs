using System.Globalization;

namespace GracefulConnections.Diagnostics;

/// <summary>Says in words who holds a drain, and why.</summary>
internal static class Holders
{
    /// <summary>How many are named: enough to find the cause, and still one line.</summary>
    public const int NamedCount = 3;

    /// <summary>Names the oldest connections and why each is still there.</summary>
    /// <param name="oldest">The oldest ones, oldest first.</param>
    /// <param name="count">How many there are in all.</param>
    public static string Describe(IReadOnlyCollection<TrackedConnectionInfo> oldest, int count)
    {
        var named = oldest.Take(NamedCount).Select(Describe);
        var rest = count - NamedCount;
        return string.Join("; ", rest > 0 ? named.Append($"and {rest} more") : named);
    }

    /// <summary>Counts in the order of the values: <c>12 Open, 3 Lingering</c>.</summary>
    public static string Count<T>(IEnumerable<KeyValuePair<T, int>> counts) =>
        string.Join(
            ", ", counts.OrderBy(static count => count.Key).Select(static count => $"{count.Value} {count.Key}"));

    /// <summary>Says why one connection is still there.</summary>
    public static string Describe(TrackedConnectionInfo info) =>
        $"{info.ConnectionId} ({PeerText.Spell(info.RemoteEndPoint)}{Tag(info.Tag)}, age {Seconds(info.Age)}): "
        + Reason(info);

    private static string Tag(object? tag)
    {
        if (tag is null)
        {
            return string.Empty;
        }

        try
        {
            return $", tag {PeerText.Spell(Convert.ToString(tag, CultureInfo.InvariantCulture) ?? string.Empty)}";
        }
        catch (Exception exception)
        {
            // The tag is the application's, and its text must not keep a server from stopping.
            return $", tag {tag.GetType().Name} ({exception.GetType().Name})";
        }
    }

    private static string Reason(TrackedConnectionInfo info) => info switch
    {
        { State: CloseState.Closed or CloseState.Aborted } => "over, but its handler has not returned",
        { State: CloseState.Lingering } => $"silent peer for {Seconds(info.IdleTime)}, no FIN from it",
        { IsPeerWindowClosed: true, UnacknowledgedBytes: > 0 } =>
            $"{Bytes(info)} unacknowledged, the peer's window is zero",
        { State: CloseState.Flushing } => $"{Bytes(info)} unacknowledged",
        { Activity: ConnectionActivity.Busy } => $"busy for {Seconds(info.BusyTime)}",
        { IsCloseRequested: false } => $"idle for {Seconds(info.IdleTime)}, its turn has not come",
        { Activity: ConnectionActivity.Unknown } =>
            $"no byte for {Seconds(info.IdleTime)}, its handler was told and has not returned",
        _ => $"idle for {Seconds(info.IdleTime)}, its handler has not returned",
    };

    private static string Bytes(TrackedConnectionInfo info) =>
        info.UnacknowledgedBytes is { } bytes ? Noun.Bytes.Count(bytes) : "some bytes";

    private static string Seconds(TimeSpan time) =>
        string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0} s");
}
