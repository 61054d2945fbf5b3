using System.Globalization;
using System.Net;
using GracefulConnections;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Options;

namespace TcpProxy;

/// <summary>What can be set: by <c>--Proxy:Connect 127.0.0.1:6380</c>, <c>Proxy__Connect</c> in the environment, and <c>appsettings.json</c>.</summary>
internal sealed class Settings
{
    private const string Section = "Proxy";
    private readonly IConfigurationSection _proxy;
    private readonly List<string> _errors;

    /// <summary>Reads everything, so that everything wrong is told at once, before anything listens.</summary>
    public Settings(IConfiguration configuration, List<string> errors)
    {
        (_proxy, _errors) = (configuration.GetSection(Section), errors);
        var keys = typeof(Settings).GetProperties().Select(property => property.Name).ToArray();
        errors.AddRange(
            from child in _proxy.GetChildren()
            where !keys.Contains(child.Key, StringComparer.OrdinalIgnoreCase)
            select $"{Section}:{child.Key} is unknown. Use {string.Join(", ", keys.Select(key => $"{Section}:{key}"))}.");
        if (_proxy[nameof(Connect)] is null)
        {
            errors.Add($"{Section}:{nameof(Connect)} is missing. Say where to relay to, for example --{Section}:{nameof(Connect)} 127.0.0.1:6380.");
        }

        Listen = Read(nameof(Listen), "127.0.0.1:7100", text => (IPEndPoint)Parse(text, isTarget: false), "an IP address and a port, such as 127.0.0.1:7100; port 0 is any free one");
        Connect = Read(nameof(Connect), null, text => text.Split(',', StringSplitOptions.TrimEntries).Select(target => Parse(target, isTarget: true)).ToArray(), "an IP address or a host name, and a port from 1 to 65535, such as 127.0.0.1:6380 or cache.example:6380, or several of them with commas between");
        ConnectTimeout = Read(nameof(ConnectTimeout), "0:00:05", ParseTime, "a time of more than 0 and at most a day, such as 0:00:05"); // Outlasts two lost SYNs: 1 + 2 s.
        MaxConnections = Read(nameof(MaxConnections), null, text => long.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture) is > 0 and var count ? count : throw new FormatException(), "a number of at least 1");
        ProxyHeader = Read(nameof(ProxyHeader), "0", text => Array.IndexOf(["0", "1", "2"], text) is >= 0 and var version ? version : throw new FormatException(), "0 for none, 1 or 2");
        ReportInterval = Read(nameof(ReportInterval), "0:00:10", ParseTime, "a time of more than 0 and at most a day, such as 0:00:10");
        (Downstream, var upstream) = (ReadLeg(nameof(Downstream)), ReadLeg(nameof(Upstream)));
        if (errors.Count == 0)
        {
            upstream(Upstream);
            Upstream.CancelReadOnCloseRequest = false; // The relay passes a limit of the upstream's on to the peer's connection.
        }
    }

    public IPEndPoint Listen { get; } // Where peers connect to. This machine alone unless you say otherwise.
    public EndPoint[] Connect { get; } // Where to relay to. Of several, each peer gets the next one that can be reached.
    public TimeSpan ConnectTimeout { get; } // How long a connect to there may take.
    public long MaxConnections { get; } // How many peers there are at a time; those beyond are reset. 0 is no limit.
    public int ProxyHeader { get; } // The version of the PROXY protocol that tells the upstream who the peer is; 0 is none.
    public TimeSpan ReportInterval { get; } // How often the counters are logged, if they changed.
    public Action<GracefulCloseOptions> Downstream { get; } // How the connections close that peers made.
    public GracefulCloseOptions Upstream { get; } = new(); // How those close that the proxy made: one for all, which share its limits.

    private T Read<T>(string key, string? otherwise, Func<string, T> parse, string rule)
    {
        var text = _proxy[key] ?? otherwise;
        try
        {
            return text is null ? default! : parse(text);
        }
        catch (Exception exception) when (exception is FormatException or OverflowException)
        {
            _errors.Add($"{Section}:{key} must be {rule}, but was \"{text}\".");
            return default!;
        }
    }

    // By the names of GracefulCloseOptions, and checked as an endpoint checks them.
    private Action<GracefulCloseOptions> ReadLeg(string key)
    {
        var section = _proxy.GetSection(key);
        try
        {
            new LegBuilder(section.Path).UseGracefulShutdown(Apply);
        }
        catch (OptionsValidationException exception)
        {
            _errors.AddRange(exception.Failures);
        }
        catch (InvalidOperationException exception)
        {
            // A value that cannot be read, or a name that does not exist. The inner message tells what is wrong with it.
            _errors.Add($"{section.Path}: {exception.Message} {exception.InnerException?.Message} Use the names and values of {nameof(GracefulCloseOptions)}.");
        }

        return Apply;

        void Apply(GracefulCloseOptions options)
        {
            section.Bind(options, binder => binder.ErrorOnUnknownConfiguration = true);
            options.AllowHalfOpen = true; // Not to be chosen: without it a peer that half-closes would end both directions.
        }
    }

    // Not by IPEndPoint alone: to it, "7100" is the address 0.0.27.188.
    private static EndPoint Parse(string text, bool isTarget)
    {
        var colon = text.LastIndexOf(':');
        var host = text[..Math.Max(colon, 0)];
        var port = ushort.Parse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture);
        return IPAddress.TryParse(host, out var address) && (port > 0 || !isTarget) ? new IPEndPoint(address, port)
            : isTarget && port > 0 && Uri.CheckHostName(host) == UriHostNameType.Dns ? new DnsEndPoint(host, port)
            : throw new FormatException();
    }

    private static TimeSpan ParseTime(string text) =>
        TimeSpan.Parse(text, CultureInfo.InvariantCulture) is { Ticks: > 0 and <= TimeSpan.TicksPerDay } time ? time : throw new FormatException();

    // Its name stands in the messages.
    private sealed class LegBuilder(string name) : ConnectionBuilder(new ServiceCollection().BuildServiceProvider())
    {
        public override string ToString() => name;
    }
}
