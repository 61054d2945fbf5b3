using System.Net;
using GracefulConnections.FunctionalTests.Draining;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Habits;

/// <summary>
/// A server is frozen for longer than its <c>IdleTimeout</c>, as a paused machine is. Its peers went on sending, so it
/// was the server that was silent.
/// </summary>
[Collection(SerialTests.Name)]
public class FreezeTests
{
    private const int PeerCount = 50;
    private const int FreezeCount = 2;

    private static readonly TimeSpan IdleTimeout = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(0.3);

    [Fact]
    public Task Freeze_LongerThanIdleTimeout_ClosesNobodyWhoWentOnSending() =>
        Task.WhenAll(PlayAsync(isStock: true), PlayAsync(isStock: false));

    /// <summary>
    /// The time of a drain is over while the server is frozen. What the handlers could not finish meanwhile, they finish
    /// behind it, as on stock, which has the rest of the host's own time.
    /// </summary>
    [Fact]
    public Task Freeze_BeyondDrainTimeout_LetsHandlersFinishWhatStockFinishes() =>
        Task.WhenAll(StopAsync(isStock: true), StopAsync(isStock: false));

    /// <summary>The same in a drain while the server goes on, where stock knows no end of any time.</summary>
    [Fact]
    public Task Freeze_BeyondTheTimeOfALiveDrain_LetsHandlersFinishWhatStockFinishes() =>
        Task.WhenAll(StopAsync(isStock: true, isLive: true), StopAsync(isStock: false, isLive: true));

    private static async Task StopAsync(bool isStock, bool isLive = false)
    {
        var drainTime = TimeSpan.FromSeconds(3);
        var workTime = (2 * drainTime) + Interval + Interval; // It ends a moment behind the freeze.
        await using var server = await StopServer.StartUrgentAsync(
            "--Stock", $"{isStock}", "--Work", $"{workTime}", "--Drain:DrainTimeout", $"{drainTime}", "--Host:ShutdownTimeout", "00:01:00");

        // Their systems take a whole reply, so that no time of this process's is needed for it.
        var peers = await Task.WhenAll(Enumerable.Range(0, PeerCount).Select(_ => SampleProcess.ConnectAsync(
            server.Ports[0], static socket => socket.ReceiveBufferSize = 4 * StopServer.ReplyBytes)));
        foreach (var peer in peers)
        {
            await peer.SendAsync(StopServer.Ping);
            await peer.ReadExactlyAsync(1);
            await peer.SendAsync(StopServer.Work);
        }

        await server.LogContainsAsync("Application started");
        if (isLive)
        {
            await using var operatorsPeer = await SampleProcess.ConnectAsync(server.Ports[0]);
            await operatorsPeer.SendAsync(StopServer.Drain);
            await operatorsPeer.ReadExactlyAsync(1);
        }
        else
        {
            server.Terminate();
            await server.LogContainsAsync("Application is shutting down");
        }

        await Pace.PauseAsync(Interval);
        server.Freeze();
        await Pace.PauseAsync(2 * drainTime);
        server.Thaw();
        await Task.WhenAll(peers.Select(static peer => peer.ReadExactlyAsync(StopServer.ReplyBytes)));
        await Task.WhenAll(peers.Select(static peer => peer.DisposeAsync().AsTask()));

        if (isLive)
        {
            server.Terminate();
        }

        Assert.Equal(0, await server.WaitForExitAsync());
    }

    private static async Task PlayAsync(bool isStock)
    {
        await using var server = await StopServer.StartUrgentAsync("--Stock", $"{isStock}", "--Idle", $"{IdleTimeout}");
        var peers = await Task.WhenAll(Enumerable.Range(0, PeerCount).Select(_ => ConnectAsync(server.Ports[0])));
        using var enough = new CancellationTokenSource();
        var sending = Task.WhenAll(peers.Select(peer => SendAsync(peer, enough.Token)));
        for (var i = 0; i < FreezeCount; i++)
        {
            await Pace.PauseAsync(2 * Interval);
            server.Freeze();
            await Pace.PauseAsync(2 * IdleTimeout);
            server.Thaw();
            await Pace.PauseAsync(IdleTimeout); // What the freeze did is done by then.
        }

        await enough.CancelAsync();
        foreach (var (peer, sentBytes) in peers.Zip(await sending.InTimeAsync()))
        {
            await peer.ReceivedAsync(sentBytes);
            Assert.Equal((sentBytes, null), (peer.ReceivedBytes, peer.End));
            await peer.DisposeAsync();
        }
    }

    private static async Task<HabitPeer> ConnectAsync(int port)
    {
        var peer = await HabitPeer.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port));
        peer.StartReading();
        return peer;
    }

    // Each request is one byte, and so is its answer.
    private static async Task<long> SendAsync(HabitPeer peer, CancellationToken enough)
    {
        long sentBytes = 0;
        while (!enough.IsCancellationRequested && await peer.SendAsync(StopServer.Ping))
        {
            sentBytes += StopServer.Ping.Length;
            await Pace.PauseAsync(Interval);
        }

        return sentBytes;
    }
}
