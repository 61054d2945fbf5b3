using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>What crossed the loopback device to and from one port, as tcpdump saw it.</summary>
internal sealed partial class WireCapture : IAsyncDisposable
{
    private const int FileHeaderBytes = 24;
    private const int RecordHeaderBytes = 16;
    private const uint LittleEndianMicroseconds = 0xA1B2C3D4;
    private const uint Ethernet = 1;

    private readonly Process _tcpdump;
    private readonly int _port;
    private readonly StringBuilder _messages = new();
    private readonly List<Segment> _segments = [];
    private readonly TaskCompletionSource _marked = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _reading = Task.CompletedTask;

    private WireCapture(Process tcpdump, int port)
    {
        _tcpdump = tcpdump;
        _port = port;
    }

    /// <summary>Starts to capture, and returns once nothing can be missed any more. Skips the test where tcpdump is missing or may not capture.</summary>
    public static async Task<WireCapture> StartAsync(int port)
    {
        // 256 bytes hold all headers, and at the default length the kernel drops packets on loopback. Immediate mode: otherwise a stop loses what is still in the kernel's buffer.
        // The datagram is our mark, see StopAsync.
        var start = new ProcessStartInfo(RequiredProgram.Find("tcpdump", "tcpdump"))
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            ArgumentList = { "-i", "lo", "-s", "256", "-B", "16384", "-n", "--immediate-mode", "-U", "-w", "-", $"tcp port {port} or udp dst port {port}" },
        };
        var capture = new WireCapture(Process.Start(start)!, port);
        try
        {
            await capture.ReadMessagesUntilListeningAsync();
        }
        catch
        {
            await capture.DisposeAsync();
            throw;
        }

        return capture;
    }

    /// <summary>Ends the capture after everything that was sent before this call.</summary>
    /// <exception cref="InvalidOperationException">The kernel dropped packets: such a capture proves nothing.</exception>
    public async Task<IReadOnlyList<Segment>> StopAsync()
    {
        using (var marker = new UdpClient())
        {
            await marker.SendAsync(new byte[1], new IPEndPoint(IPAddress.Loopback, _port));
        }

        await _marked.Task.WaitAsync(TestServer.TestLimit);
        Signal.Interrupt(_tcpdump);
        await _reading.WaitAsync(TestServer.TestLimit);
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        await _tcpdump.WaitForExitAsync(limit.Token);
        var messages = _messages.ToString();
        var dropped = DroppedPackets().Match(messages);
        if (!dropped.Success || int.Parse(dropped.Groups[1].ValueSpan, CultureInfo.InvariantCulture) > 0)
        {
            throw new InvalidOperationException($"The capture is not complete: {messages}");
        }

        return _segments;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_tcpdump.HasExited)
        {
            _tcpdump.Kill();
        }

        try
        {
            await _reading.WaitAsync(TestServer.TestLimit);
        }
        finally
        {
            _tcpdump.Dispose();
        }
    }

    // "0 packets dropped by kernel"; a drop by the interface has a line of its own.
    [GeneratedRegex(@"(\d+) packets? dropped by kernel")]
    private static partial Regex DroppedPackets();

    private async Task ReadMessagesUntilListeningAsync()
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        while (true)
        {
            var line = await _tcpdump.StandardError.ReadLineAsync(limit.Token);
            if (line is null)
            {
                RequiredProgram.SkipOrFail($"tcpdump cannot capture here: {_messages}");
            }

            _messages.AppendLine(line);
            if (line!.Contains("listening on", StringComparison.Ordinal))
            {
                _reading = Task.WhenAll(ReadMessagesAsync(), ReadSegmentsAsync());
                return;
            }
        }
    }

    private async Task ReadMessagesAsync()
    {
        while (await _tcpdump.StandardError.ReadLineAsync() is { } line)
        {
            _messages.AppendLine(line);
        }
    }

    // https://www.tcpdump.org/manpages/pcap-savefile.5.html
    private async Task ReadSegmentsAsync()
    {
        var stream = _tcpdump.StandardOutput.BaseStream;
        var header = new byte[FileHeaderBytes];
        if (await stream.ReadAtLeastAsync(header, FileHeaderBytes, throwOnEndOfStream: false) < FileHeaderBytes)
        {
            return;
        }

        Assert.Equal(LittleEndianMicroseconds, BinaryPrimitives.ReadUInt32LittleEndian(header));
        Assert.Equal(Ethernet, BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(20)));
        var record = new byte[RecordHeaderBytes];
        while (await stream.ReadAtLeastAsync(record, RecordHeaderBytes, throwOnEndOfStream: false) == RecordHeaderBytes)
        {
            var frame = new byte[BinaryPrimitives.ReadUInt32LittleEndian(record.AsSpan(8))];
            await stream.ReadExactlyAsync(frame);
            if (Segment.TryParse(frame) is { } segment)
            {
                _segments.Add(segment);
            }
            else
            {
                _marked.TrySetResult();
            }
        }
    }
}
