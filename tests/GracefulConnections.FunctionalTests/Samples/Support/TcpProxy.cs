using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples.Support;

/// <summary>The sample <c>samples/TcpProxy</c> on a free port, with raw sockets on both sides of it or in front of any server.</summary>
public sealed partial class TcpProxy : IAsyncLifetime
{
    private readonly Socket _upstream = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private int _pairCount;
    private SampleProcess? _sample;

    internal SampleProcess Sample => _sample!;

    internal int Port => Sample.Ports[0];

    public async ValueTask InitializeAsync() => await InitializeAsync([]);

    public async ValueTask DisposeAsync()
    {
        _upstream.Dispose();
        if (_sample is not null)
        {
            await _sample.DisposeAsync();
        }
    }

    /// <summary>Starts the proxy in front of what <see cref="ConnectPairAsync"/> accepts.</summary>
    internal static async Task<TcpProxy> StartAsync(params IEnumerable<string> arguments)
    {
        var proxy = new TcpProxy();
        try
        {
            await proxy.InitializeAsync(arguments);
            return proxy;
        }
        catch
        {
            await proxy.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts the proxy in front of a server on this machine.</summary>
    internal static async Task<TcpProxy> StartInFrontOfAsync(int port, params IEnumerable<string> arguments) =>
        new() { _sample = await StartSampleAsync(port, arguments) };

    /// <summary>Connects a peer, and accepts the connection that the proxy makes for it.</summary>
    /// <param name="configure">Changes the peer's socket before it connects, its buffers for example.</param>
    internal async Task<(ScriptedPeer Downstream, ScriptedPeer Upstream)> ConnectPairAsync(Action<Socket>? configure = null)
    {
        var downstream = await SampleProcess.ConnectAsync(Port, configure);
        return (downstream, await AcceptAsync());
    }

    /// <summary>Accepts the next connection that the proxy makes.</summary>
    internal async Task<ScriptedPeer> AcceptAsync()
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        var upstream = await _upstream.AcceptAsync(limit.Token);
        upstream.NoDelay = true;
        _pairCount++;
        return new ScriptedPeer(upstream);
    }

    /// <summary>The same, in the order in which a test needs them: what holds in one direction must hold in the other.</summary>
    internal async Task<(ScriptedPeer One, ScriptedPeer Other)> ConnectPairAsync(bool isOneDownstream)
    {
        var (downstream, upstream) = await ConnectPairAsync();
        return isOneDownstream ? (downstream, upstream) : (upstream, downstream);
    }

    /// <summary>Waits until everything that was connected has ended in the proxy too.</summary>
    /// <returns>How the last pair's two connections ended.</returns>
    internal async Task<(CloseOutcome Downstream, CloseOutcome Upstream)> OutcomesAsync() => (await AllOutcomesAsync())[^1];

    /// <summary>Waits until everything that was connected has ended in the proxy too.</summary>
    /// <returns>How each pair's two connections ended, in the order of their ends.</returns>
    internal async Task<IReadOnlyList<(CloseOutcome Downstream, CloseOutcome Upstream)>> AllOutcomesAsync()
    {
        await Eventually.IsTrueAsync(() => RelayedLine().Count(Sample.Log) == _pairCount);
        var outcomes = new List<(CloseOutcome, CloseOutcome)>();
        foreach (Match relayed in RelayedLine().Matches(Sample.Log))
        {
            var closed = $@"Connection id ""{relayed.Groups[1].Value}"" closed: ";
            await Sample.LogContainsAsync(closed);
            var log = Sample.Log;
            var downstream = FirstWord().Match(log, log.IndexOf(closed, StringComparison.Ordinal) + closed.Length);
            outcomes.Add((Enum.Parse<CloseOutcome>(downstream.ValueSpan), Enum.Parse<CloseOutcome>(relayed.Groups[2].ValueSpan)));
        }

        return outcomes;
    }

    /// <summary>The same, in the order in which <see cref="ConnectPairAsync(bool)"/> returned the two.</summary>
    internal async Task<(CloseOutcome One, CloseOutcome Other)> OutcomesAsync(bool isOneDownstream)
    {
        var (downstream, upstream) = await OutcomesAsync();
        return isOneDownstream ? (downstream, upstream) : (upstream, downstream);
    }

    private static Task<SampleProcess> StartSampleAsync(int upstreamPort, IEnumerable<string> arguments) => SampleProcess.StartAsync(
        "TcpProxy",
        [
            "--Proxy:Listen", "127.0.0.1:0",
            "--Proxy:Connect", string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{upstreamPort}"),
            "--Logging:LogLevel:GracefulConnections", "Debug",
            "--Logging:LogLevel:TcpProxy", "Debug",
            .. arguments,
        ]);

    [GeneratedRegex(@"Connection id ""(\w+)"" was relayed; upstream id ""\w+"" ended (\w+)\.")]
    private static partial Regex RelayedLine();

    [GeneratedRegex(@"\w+")]
    private static partial Regex FirstWord();

    private async Task InitializeAsync(IEnumerable<string> arguments)
    {
        _upstream.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _upstream.Listen();
        _sample = await StartSampleAsync(((IPEndPoint)_upstream.LocalEndPoint!).Port, arguments);
    }
}
