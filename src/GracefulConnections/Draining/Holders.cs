using System.Globalization;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Draining;

/// <summary>Says in words who holds a drain, and why.</summary>
internal static class Holders
{
    // Enough to find the cause, and still one line.
    private const int NamedCount = 3;

    /// <summary>Names the oldest connections and why each is still there.</summary>
    public static string Describe(IReadOnlyCollection<TrackedConnection> connections) =>
        Describe(
            [.. connections
                .OrderBy(static connection => connection.StartTimestamp)
                .Take(NamedCount)
                .Select(static connection => connection.GetInfo())],
            connections.Count);

    /// <param name="oldest">The oldest connections, oldest first.</param>
    /// <param name="count">How many there are in all.</param>
    public static string Describe(IReadOnlyList<TrackedConnectionInfo> oldest, int count)
    {
        var named = oldest.Take(NamedCount).Select(Describe);
        var rest = count - Math.Min(oldest.Count, NamedCount);
        return string.Join("; ", rest > 0 ? named.Append($"and {rest} more") : named);
    }

    /// <summary>Counts connections by state: <c>12 Open, 3 Lingering</c>.</summary>
    public static string DescribeStates(IEnumerable<TrackedConnection> connections) =>
        string.Join(
            ", ",
            connections
                .CountBy(static connection => connection.State)
                .OrderBy(static state => state.Key)
                .Select(static state => $"{state.Value} {state.Key}"));

    /// <summary>Says why one connection is still there.</summary>
    public static string Describe(TrackedConnectionInfo info) =>
        $"{info.ConnectionId} ({PeerText.Spell(info.RemoteEndPoint)}, age {Seconds(info.Age)}): {Reason(info)}";

    private static string Reason(TrackedConnectionInfo info) => info switch
    {
        { State: CloseState.Closed or CloseState.Aborted } => "over, but its handler has not returned",
        { State: CloseState.Lingering } => $"silent peer for {Seconds(info.IdleTime)}, no FIN from it",
        { IsPeerWindowClosed: true, UnacknowledgedBytes: > 0 } =>
            $"{info.UnacknowledgedBytes} bytes unacknowledged, the peer's window is zero",
        { State: CloseState.Flushing } =>
            $"{info.UnacknowledgedBytes?.ToString(CultureInfo.InvariantCulture) ?? "some"} bytes unacknowledged",
        { IsBusy: true } => $"busy for {Seconds(info.BusyTime)}",
        { IsCloseRequested: false } => $"idle for {Seconds(info.IdleTime)}, its turn has not come",
        _ => $"idle for {Seconds(info.IdleTime)}, its handler has not returned",
    };

    private static string Seconds(TimeSpan time) =>
        string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0} s");
}
