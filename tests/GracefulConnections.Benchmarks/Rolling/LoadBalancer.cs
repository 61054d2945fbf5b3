using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using GracefulConnections.FunctionalTests.Support;
using GracefulConnections.TestSupport;

namespace GracefulConnections.Benchmarks.Rolling;

/// <summary>
/// HAProxy in front of the replicas, as it comes but for its probes, one of which is enough to take a replica out: a
/// connect that is refused is tried again at another replica, nothing else is.
/// </summary>
internal sealed class LoadBalancer : IAsyncDisposable
{
    private const string Program = "haproxy";

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(20);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("graceful-rolling-");
    private readonly int _serverCount;
    private readonly Process _process;

    private LoadBalancer(IReadOnlyList<Replica> replicas)
    {
        _serverCount = 2 * replicas.Count;
        var configuration = Path.Combine(_directory.FullName, "haproxy.cfg");
        File.WriteAllText(configuration, Configure(replicas));
        _process = Process.Start(new ProcessStartInfo(InstalledProgram.Find(Program)!, ["-db", "-q", "-f", configuration])
        {
            RedirectStandardError = true,
        })!;
        _ = _process.StandardError.ReadToEndAsync(); // Each probe that fails is a line.
    }

    public IPEndPoint Http { get; } = new(IPAddress.Loopback, FreePort.Find());

    public IPEndPoint Raw { get; } = new(IPAddress.Loopback, FreePort.Find());

    private string StatisticsPath => Path.Combine(_directory.FullName, "stats");

    /// <summary>Returns what is not installed and how to install it; <see langword="null"/> where nothing is missing.</summary>
    public static string? FindMissing() =>
        InstalledProgram.Find(Program) is null ? InstalledProgram.DescribeMissing(Program, "haproxy") : null;

    /// <summary>Starts it, and returns once it has found all replicas ready.</summary>
    public static async Task<LoadBalancer> StartAsync(IReadOnlyList<Replica> replicas)
    {
        var balancer = new LoadBalancer(replicas);
        try
        {
            await balancer.AllUpAsync();
            return balancer;
        }
        catch
        {
            await balancer.DisposeAsync();
            throw;
        }
    }

    /// <summary>Waits until it has found all replicas ready.</summary>
    public async Task AllUpAsync()
    {
        var started = Stopwatch.GetTimestamp();
        while (CountUp() < _serverCount)
        {
            if (_process.HasExited || Stopwatch.GetElapsedTime(started) > Limit)
            {
                throw new InvalidOperationException($"HAProxy ended, or sees {CountUp()} of {_serverCount} servers.");
            }

            await Task.Delay(Interval); // It tells nobody by itself.
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync().WaitAsync(Limit);
        }

        _process.Dispose();
        _directory.Delete(recursive: true);
    }

    private string Configure(IReadOnlyList<Replica> replicas)
    {
        var check = $"inter {(int)RollingPlan.ProbeInterval.TotalMilliseconds}ms fall 1 rise 1";
        var http = replicas.Select((replica, i) => $"    server http{i} 127.0.0.1:{replica.HttpPort} check {check}");
        var raw = replicas.Select(
            (replica, i) => $"    server raw{i} 127.0.0.1:{replica.RawPort} check port {replica.HttpPort} {check}");
        return $"""
            global
                nbthread 1
                stats socket {StatisticsPath}
            defaults
                timeout connect 5s
                timeout client 1m
                timeout server 1m
                timeout check 5s
                retries 3
                option redispatch
                option httpchk GET {ReplicaRole.ReadyPath}
                balance roundrobin
            listen http
                mode http
                bind {Http}
            {string.Join('\n', http)}
            listen raw
                mode tcp
                bind {Raw}
            {string.Join('\n', raw)}

            """;
    }

    private int CountUp()
    {
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Connect(new UnixDomainSocketEndPoint(StatisticsPath));
            socket.Send("show stat -1 4 -1\n"u8); // All proxies, servers only.
            using var reader = new StreamReader(new NetworkStream(socket), Encoding.ASCII);
            return reader.ReadToEnd().Split('\n').Count(static line => line.Contains(",UP,", StringComparison.Ordinal));
        }
        catch (SocketException)
        {
            return 0; // It is starting.
        }
    }
}
