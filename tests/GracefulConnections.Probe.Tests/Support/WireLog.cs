using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.Probe.Tests.Support;

/// <summary>What tcpdump saw of one port: flags and bytes of the server's segments, by the probe's port.</summary>
internal sealed partial class WireLog : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly Process _tcpdump;
    private readonly int _port;
    private readonly Task _reading;
    private readonly List<string> _lines = [];
    private readonly TaskCompletionSource _marked = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private WireLog(Process tcpdump, int port)
    {
        _tcpdump = tcpdump;
        _port = port;
        _reading = ReadAsync();
    }

    /// <summary>Starts to capture. Skips the test where tcpdump is missing or may not capture.</summary>
    public static async Task<WireLog> StartAsync(int port)
    {
        // At the default length the kernel drops packets on loopback. 256 bytes hold all headers.
        var start = new ProcessStartInfo(RequiredProgram.Find("tcpdump", "tcpdump"))
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            ArgumentList =
            {
                "-i", "lo", "-s", "256", "-B", "16384", "-n", "-l", "--immediate-mode", $"tcp src port {port} or udp dst port {port}",
            },
        };
        var tcpdump = Process.Start(start)!;
        var messages = "";
        while (!messages.Contains("listening on", StringComparison.Ordinal))
        {
            var line = await tcpdump.StandardError.ReadLineAsync().WaitAsync(Limit);
            if (line is null)
            {
                RequiredProgram.SkipOrFail($"tcpdump cannot capture here: {messages}");
            }

            messages += line;
        }

        return new WireLog(tcpdump, port);
    }

    /// <summary>Ends the capture behind everything that was sent before.</summary>
    /// <returns>For each port of the probe: the server's bytes, and whether it sent FIN and RST.</returns>
    public async Task<IReadOnlyList<(long Bytes, bool Fin, bool Reset)>> StopAsync()
    {
        using (var marker = new UdpClient())
        {
            await marker.SendAsync(new byte[1], new IPEndPoint(IPAddress.Loopback, _port));
        }

        await _marked.Task.WaitAsync(Limit);
        return
        [
            .. _lines.Select(line => Segment().Match(line)).Where(match => match.Success).GroupBy(match => match.Groups["port"].Value)
                .Select(connection => (
                    CountBytes(connection),
                    connection.Any(match => match.Groups["flags"].Value.Contains('F')),
                    connection.Any(match => match.Groups["flags"].Value.Contains('R')))),
        ];
    }

    public async ValueTask DisposeAsync()
    {
        _tcpdump.Kill();
        await _reading.WaitAsync(Limit);
        _tcpdump.Dispose();
    }

    // What was sent again has the same numbers, so the highest number counts and not the sum. tcpdump counts from 1.
    private static long CountBytes(IEnumerable<Match> segments) => segments
        .Where(match => match.Groups["end"].Success)
        .Max(match => (long?)long.Parse(match.Groups["end"].ValueSpan, CultureInfo.InvariantCulture) - 1) ?? 0;

    [GeneratedRegex(@"> [\d.]+\.(?<port>\d+): Flags \[(?<flags>[^\]]+)\](?:, seq \d+:(?<end>\d+))?")]
    private static partial Regex Segment();

    private async Task ReadAsync()
    {
        while (await _tcpdump.StandardOutput.ReadLineAsync() is { } line)
        {
            _lines.Add(line);
            if (line.Contains("UDP", StringComparison.Ordinal))
            {
                _marked.TrySetResult();
            }
        }
    }
}
