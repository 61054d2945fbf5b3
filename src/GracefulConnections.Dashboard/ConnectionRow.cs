using System.Globalization;

namespace GracefulConnections.Dashboard;

/// <summary>A connection, as the API tells of it. Times are in seconds.</summary>
internal sealed record ConnectionRow
{
    private const int LongestText = 200; // A tag may be anything, and a page shows many.

    public required string Id { get; init; }

    public string? Local { get; init; }

    public string? Remote { get; init; }

    public string? Tag { get; init; }

    public bool IsTls { get; init; }

    public CloseState State { get; init; }

    public CloseReason Reason { get; init; }

    public bool IsCloseRequested { get; init; }

    public ConnectionActivity Activity { get; init; }

    public double Age { get; init; }

    public double Busy { get; init; }

    public double Idle { get; init; }

    public long Received { get; init; }

    public long Written { get; init; }

    public long? Unacknowledged { get; init; }

    public bool IsPeerWindowClosed { get; init; }

    public bool IsDashboard { get; init; }

    public static ConnectionRow From(TrackedConnectionInfo info, bool isDashboard) => new()
    {
        Id = info.ConnectionId,
        Local = Spell(info.LocalEndPoint),
        Remote = Spell(info.RemoteEndPoint),
        Tag = Spell(info.Tag),
        IsTls = info.IsTls,
        State = info.State,
        Reason = info.Reason,
        IsCloseRequested = info.IsCloseRequested,
        Activity = info.Activity,
        Age = Seconds(info.Age),
        Busy = Seconds(info.BusyTime),
        Idle = Seconds(info.IdleTime),
        Received = info.ReceivedBytes,
        Written = info.WrittenBytes,
        Unacknowledged = info.UnacknowledgedBytes,
        IsPeerWindowClosed = info.IsPeerWindowClosed,
        IsDashboard = isDashboard,
    };

    /// <summary>Returns a tag or an address as text, cut to what a page can show.</summary>
    public static string? Spell(object? value)
    {
        string? text;
        try
        {
            text = Convert.ToString(value, CultureInfo.InvariantCulture);
        }
        catch (Exception exception)
        {
            // A tag is the application's, and one that fails must not hide all other connections.
            text = $"({value!.GetType().Name}.ToString() threw {exception.GetType().Name})";
        }

        return text is { Length: > LongestText } ? string.Concat(text.AsSpan(0, LongestText), "…") : text;
    }

    private static double Seconds(TimeSpan time) => Math.Round(time.TotalSeconds, 3);
}
