using System.Globalization;
using Microsoft.AspNetCore.Http;

namespace GracefulConnections.Dashboard;

/// <summary>Which connections a request asks for.</summary>
internal sealed class ConnectionQuery
{
    /// <summary>How many connections one answer has at most.</summary>
    public const int MaxTake = 200;

    private const int DefaultTake = 50;

    private static readonly string[] Names = ["filter", "tag", "state", "activity", "asked", "order", "skip", "take"];
    private static readonly string[] Orders = ["age", "busy", "idle", "received", "written", "unacknowledged"];

    private string? _filter;
    private string? _tag;
    private CloseState? _state;
    private ConnectionActivity? _activity;
    private bool? _asked;
    private string _order = Orders[0];

    public int Skip { get; private set; }

    public int Take { get; private set; } = DefaultTake;

    /// <summary>Reads the query of a request.</summary>
    /// <param name="query">The query.</param>
    /// <param name="error">What is wrong with it.</param>
    /// <returns><see langword="null"/> when something is wrong.</returns>
    public static ConnectionQuery? Read(IQueryCollection query, out string error)
    {
        error = "";
        var read = new ConnectionQuery();
        foreach (var (name, values) in query)
        {
            var value = values.ToString();
            var isGood = name switch
            {
                "filter" => (read._filter = value) is not null,
                "tag" => (read._tag = value) is not null,
                "state" => TryParse(value, out read._state),
                "activity" => TryParse(value, out read._activity),
                "asked" => bool.TryParse(value, out var asked) && (read._asked = asked) is not null,
                "order" => Orders.Contains(read._order = value),
                "skip" => TryParse(value, int.MaxValue, skip => read.Skip = skip),
                "take" => TryParse(value, MaxTake, take => read.Take = take),
                _ => false,
            };
            if (!isGood)
            {
                error = Explain(name, value);
                return null;
            }
        }

        return read;
    }

    public ConnectionPage Apply(IReadOnlyList<TrackedConnectionInfo> connections, Func<string, bool> isOwn)
    {
        var matching = connections.Where(Matches).ToArray();
        var page = matching.OrderByDescending(Key).Skip(Skip).Take(Take);
        return new ConnectionPage(
            connections.Count,
            matching.Length,
            Skip,
            [.. page.Select(info => ConnectionRow.From(info, isOwn(info.ConnectionId)))]);
    }

    /// <summary>Returns whether a connection has a text in its id, its peer's address or its tag.</summary>
    public static bool Contains(TrackedConnectionInfo info, string text) =>
        info.ConnectionId.Contains(text, StringComparison.OrdinalIgnoreCase)
        || ConnectionRow.Spell(info.RemoteEndPoint)?.Contains(text, StringComparison.OrdinalIgnoreCase) == true
        || ConnectionRow.Spell(info.Tag)?.Contains(text, StringComparison.OrdinalIgnoreCase) == true;

    private static bool TryParse<T>(string value, out T? result)
        where T : struct, Enum
    {
        // A number is no name, also where it stands for one.
        var isGood = Enum.TryParse<T>(value, ignoreCase: true, out var parsed) && !char.IsAsciiDigit(value[0]);
        result = parsed;
        return isGood && Enum.IsDefined(parsed);
    }

    private static bool TryParse(string value, int limit, Action<int> set)
    {
        var isGood = int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var parsed)
            && parsed <= limit;
        if (isGood)
        {
            set(parsed);
        }

        return isGood;
    }

    private static string Explain(string name, string value)
    {
        var rule = name switch
        {
            "state" => $"one of {string.Join(", ", Enum.GetNames<CloseState>())}",
            "activity" => $"one of {string.Join(", ", Enum.GetNames<ConnectionActivity>())}",
            "asked" => "true or false",
            "order" => $"one of {string.Join(", ", Orders)}",
            "skip" => "a number from 0",
            "take" => $"a number from 0 to {MaxTake}",
            _ => null,
        };
        return rule is null
            ? $"There is no filter \"{ConnectionRow.Spell(name)}\". Use {string.Join(", ", Names)}."
            : $"\"{ConnectionRow.Spell(value)}\" is not valid for \"{name}\". It must be {rule}.";
    }

    private bool Matches(TrackedConnectionInfo info) =>
        (_filter is null || Contains(info, _filter))
        && (_tag is null || ConnectionRow.Spell(info.Tag) == _tag)
        && (_state is null || info.State == _state)
        && (_activity is null || info.Activity == _activity)
        && (_asked is null || info.IsCloseRequested == _asked);

    private double Key(TrackedConnectionInfo info) => _order switch
    {
        "busy" => info.BusyTime.TotalSeconds,
        "idle" => info.IdleTime.TotalSeconds,
        "received" => info.ReceivedBytes,
        "written" => info.WrittenBytes,
        "unacknowledged" => info.UnacknowledgedBytes ?? -1,
        _ => info.Age.TotalSeconds,
    };
}
