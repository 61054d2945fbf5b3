using System.Collections.Concurrent;
using System.Diagnostics;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>SIGTERM to a real process with 2,000 idle and 50 busy connections, with this library and with stock Kestrel.</summary>
[Collection(SerialTests.Name)]
public class ProcessStopTests(ITestOutputHelper output)
{
    private const int IdleCount = 2000;
    private const int BusyCount = 50;
    private static readonly TimeSpan WorkTime = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan StockTimeout = TimeSpan.FromSeconds(5); // Instead of the 30 s that it is by default.

    // Every time that could end the drain is beyond the limit of every wait: that it ends proves that none of them was needed.
    private static readonly string[] Patient = ["--Drain:DrainTimeout", "00:05:00", "--Drain:LingerIdleTimeout", "00:05:00", "--Host:ShutdownTimeout", "00:10:00"];

    [Fact]
    public async Task Terminate_IdleAndBusyConnections_AllEndWellAndTheProcessExitsWithTheWork()
    {
        await using var server = await StopServer.StartAsync(["--Work", $"{WorkTime}", .. Patient]);

        var (idle, busy, exitCode, time) = await StopAsync(server);

        Print("UseGracefulShutdown() and AddGracefulShutdown()", idle, busy, time);
        Assert.All(idle, static end => Assert.Equal((StopServer.Goodbye.Length, PeerSaw.Eof), end));
        Assert.All(busy, static end => Assert.Equal((StopServer.ReplyBytes + StopServer.Goodbye.Length, PeerSaw.Eof), end));
        Assert.Equal(0, exitCode);
        Assert.Contains($"({IdleCount + BusyCount} Graceful): 0 bytes unacknowledged, 0 messages unanswered, 0 bytes discarded", server.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Terminate_StockKestrel_IsHeldByTheIdleConnectionsUntilItsTimeoutAndResetsThem()
    {
        await using var server = await StopServer.StartAsync("--Stock", "true", "--Work", $"{WorkTime}", "--Host:ShutdownTimeout", $"{StockTimeout}");

        var (idle, busy, _, time) = await StopAsync(server);

        Print($"Stock Kestrel, with a ShutdownTimeout of {StockTimeout.TotalSeconds} s instead of 30 s", idle, busy, time);
        Assert.True(time >= StockTimeout && idle.Contains((0, PeerSaw.Reset)), "Stock Kestrel ended idle connections. If this happens again and again, Kestrel has changed, and the README must be measured anew.");
    }

    [Fact]
    public async Task Terminate_RespServer_AllEndWellAndTheProcessExitsWithTheWork()
    {
        const string ok = "+OK\r\n";
        const string goodbye = "-SHUTDOWN the server is stopping, reconnect\r\n";
        await using var server = await RespServer.StartAsync(
            ["--Resp:Goodbye", "true", "--Close:GoodbyeTimeout", "00:01:00", .. Patient[..^2]]);

        var (idle, busy, exitCode, time) = await StopAsync(server.Sample, "PING\r\n"u8.ToArray(), "+PONG\r\n".Length, "DEBUG SLEEP 2\r\n"u8.ToArray());

        Print("samples/RespServer", idle, busy, time);
        Assert.All(idle, static end => Assert.Equal((goodbye.Length, PeerSaw.Eof), end));
        Assert.All(busy, static end => Assert.Equal((ok.Length + goodbye.Length, PeerSaw.Eof), end));
        Assert.Equal(0, exitCode);
    }

    private static Task<(IReadOnlyList<(long Bytes, PeerSaw End)> Idle, IReadOnlyList<(long Bytes, PeerSaw End)> Busy, int ExitCode, TimeSpan Time)> StopAsync(SampleProcess server) =>
        StopAsync(server, StopServer.Ping, 1, StopServer.Work);

    private static async Task<(IReadOnlyList<(long Bytes, PeerSaw End)> Idle, IReadOnlyList<(long Bytes, PeerSaw End)> Busy, int ExitCode, TimeSpan Time)> StopAsync(
        SampleProcess server, ReadOnlyMemory<byte> ping, int pongBytes, ReadOnlyMemory<byte> work)
    {
        var peers = new ConcurrentBag<ScriptedPeer>();
        await Parallel.ForAsync(0, IdleCount + BusyCount, async (_, _) => peers.Add(await ConnectAsync(server, ping, pongBytes)));
        ScriptedPeer[] all = [.. peers];
        var ends = Array.ConvertAll(all, ReadAndCloseAsync);
        foreach (var busy in all[IdleCount..])
        {
            await busy.SendAsync(work);
        }

        await all[^1].AllAcknowledgedAsync(); // Loopback hands over in the order sent: then all of them have arrived.
        var started = Stopwatch.GetTimestamp();
        server.Terminate();
        var exitCode = await server.WaitForExitAsync();
        var time = Stopwatch.GetElapsedTime(started);
        var seen = await Task.WhenAll(ends).InTimeAsync();
        return (seen[..IdleCount], seen[IdleCount..], exitCode, time);
    }

    // A peer that was answered was accepted: what waits in the listener's queue is not the server's to end.
    private static async Task<ScriptedPeer> ConnectAsync(SampleProcess server, ReadOnlyMemory<byte> ping, int pongBytes)
    {
        var peer = await SampleProcess.ConnectAsync(server.Ports[0]);
        await peer.SendAsync(ping);
        await peer.ReadExactlyAsync(pongBytes);
        return peer;
    }

    private static async Task<(long Bytes, PeerSaw End)> ReadAndCloseAsync(ScriptedPeer peer)
    {
        await using (peer)
        {
            return await peer.ReadToEndAsync();
        }
    }

    private void Print(string server, IReadOnlyList<(long Bytes, PeerSaw End)> idle, IReadOnlyList<(long Bytes, PeerSaw End)> busy, TimeSpan time) => output.WriteLine(
        $"{server}: from SIGTERM to the exit {time.TotalSeconds:0.00} s (work: {WorkTime.TotalSeconds} s). "
        + $"{idle.Count} idle: {idle.Count(IsFin)} saw FIN, {idle.Count(IsReset)} RST. {busy.Count} busy: {busy.Count(IsFin)} saw FIN, {busy.Count(IsReset)} RST, {busy.Min(static end => end.Bytes)} bytes each at least.");

    private static bool IsFin((long Bytes, PeerSaw End) end) => end.End == PeerSaw.Eof;

    private static bool IsReset((long Bytes, PeerSaw End) end) => end.End == PeerSaw.Reset;
}
