using System.Globalization;
using System.Net;

namespace TcpProxy;

/// <summary>What can be set: on the command line (<c>--Proxy:Connect 127.0.0.1:6380</c>), by environment variables (<c>Proxy__Connect</c>) and in <c>appsettings.json</c>.</summary>
/// <param name="Listen"><c>Proxy:Listen</c>: where peers connect to. This machine alone unless you say otherwise.</param>
/// <param name="Connect"><c>Proxy:Connect</c>: where to relay to. Of several, separated by commas, each peer gets the next one that can be reached.</param>
/// <param name="ConnectTimeout"><c>Proxy:ConnectTimeout</c>: how long a connect to there may take.</param>
/// <param name="MaxConnections"><c>Proxy:MaxConnections</c>: how many peers at a time; those beyond are reset.</param>
/// <param name="ProxyHeader"><c>Proxy:ProxyHeader</c>: the version of the PROXY protocol that tells the upstream who the peer is; 0 is none.</param>
/// <param name="ReportInterval"><c>Proxy:ReportInterval</c>: how often the counters are logged, if they changed. On a terminal they are live.</param>
/// <param name="Downstream"><c>Proxy:Downstream:...</c>: how the connections close that peers made to us.</param>
/// <param name="Upstream"><c>Proxy:Upstream:...</c>: how the connections close that we made.</param>
internal sealed record Settings(
    IPEndPoint Listen,
    EndPoint[] Connect,
    TimeSpan ConnectTimeout,
    long? MaxConnections,
    int ProxyHeader,
    TimeSpan ReportInterval,
    LegSettings Downstream,
    LegSettings Upstream)
{
    private const string Section = "Proxy";

    private static readonly string[] Keys =
    [
        nameof(Listen), nameof(Connect), nameof(ConnectTimeout), nameof(MaxConnections), nameof(ProxyHeader), nameof(ReportInterval), nameof(Downstream), nameof(Upstream),
    ];

    private static readonly IPEndPoint DefaultListen = new(IPAddress.Loopback, 7100);
    private static readonly TimeSpan DefaultConnectTimeout = TimeSpan.FromSeconds(5); // Outlasts two lost SYNs: 1 + 2 s from Linux' TCP_TIMEOUT_INIT.
    private static readonly TimeSpan DefaultReportInterval = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan LongestTime = TimeSpan.FromDays(1);

    private delegate bool TryParse<T>(string text, out T value);

    /// <summary>Reads everything, so that everything wrong is told at once.</summary>
    public static Settings Read(IConfiguration configuration, List<string> errors)
    {
        var proxy = configuration.GetSection(Section);
        foreach (var key in proxy.GetChildren().Select(child => child.Key).Except(Keys, StringComparer.OrdinalIgnoreCase))
        {
            errors.Add($"{Section}:{key} is unknown. Use {string.Join(", ", Keys.Select(known => $"{Section}:{known}"))}.");
        }

        if (proxy[nameof(Connect)] is null)
        {
            errors.Add($"{Section}:{nameof(Connect)} is missing. Say where to relay to, for example --{Section}:{nameof(Connect)} 127.0.0.1:6380.");
        }

        var settings = new Settings(
            Read(nameof(Listen), DefaultListen, TryParseAddress, "an IP address and a port, such as 127.0.0.1:7100; port 0 is any free one"),
            Read<EndPoint[]>(nameof(Connect), [], TryParseTargets, "an IP address or a host name, and a port from 1 to 65535, such as 127.0.0.1:6380 or cache.example:6380, or several of them with commas between"),
            Read(nameof(ConnectTimeout), DefaultConnectTimeout, TryParseTime, "a time of more than 0 and at most a day, such as 0:00:05"),
            Read<long?>(nameof(MaxConnections), null, TryParseCount, "a number of at least 1"),
            Read(nameof(ProxyHeader), 0, TryParseVersion, "0 for none, 1 or 2"),
            Read(nameof(ReportInterval), DefaultReportInterval, TryParseTime, "a time of more than 0 and at most a day, such as 0:00:10"),
            new LegSettings(proxy.GetSection(nameof(Downstream))),
            new LegSettings(proxy.GetSection(nameof(Upstream))));
        settings.Downstream.Check(errors);
        settings.Upstream.Check(errors);
        return settings;

        T Read<T>(string key, T otherwise, TryParse<T> tryParse, string rule)
        {
            if (proxy[key] is not { } text)
            {
                return otherwise;
            }

            if (tryParse(text, out var value))
            {
                return value;
            }

            errors.Add($"{Section}:{key} must be {rule}, but was \"{text}\".");
            return otherwise;
        }
    }

    // Not by IPEndPoint alone: to it, "7100" is the address 0.0.27.188.
    private static bool TryParseAddress(string text, out IPEndPoint endPoint)
    {
        endPoint = DefaultListen;
        if (!TrySplit(text, out var host, out var port) || !IPAddress.TryParse(host, out var address))
        {
            return false;
        }

        endPoint = new IPEndPoint(address, port);
        return true;
    }

    private static bool TryParseTarget(string text, out EndPoint endPoint)
    {
        endPoint = DefaultListen;
        if (!TrySplit(text, out var host, out var port) || port == 0 || Uri.CheckHostName(host) == UriHostNameType.Unknown)
        {
            return false;
        }

        endPoint = IPAddress.TryParse(host, out var address) ? new IPEndPoint(address, port) : new DnsEndPoint(host, port);
        return true;
    }

    private static bool TryParseTargets(string text, out EndPoint[] endPoints)
    {
        var targets = text.Split(',', StringSplitOptions.TrimEntries);
        endPoints = [.. targets.Select(target => TryParseTarget(target, out var endPoint) ? endPoint : null).OfType<EndPoint>()];
        return endPoints.Length == targets.Length;
    }

    private static bool TryParseCount(string text, out long? count)
    {
        var isNumber = long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number);
        count = number;
        return isNumber && number > 0;
    }

    private static bool TryParseVersion(string text, out int version) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out version) && version <= 2;

    private static bool TrySplit(string text, out string host, out ushort port)
    {
        var colon = text.LastIndexOf(':');
        host = colon > 0 ? text[..colon] : "";
        port = 0;
        return colon > 0 && ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port);
    }

    private static bool TryParseTime(string text, out TimeSpan time) =>
        TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out time) && time > TimeSpan.Zero && time <= LongestTime;
}
