using System.Collections.Concurrent;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests;

/// <summary>Peers that never close, in number: nobody else may notice.</summary>
[Collection(SerialTests.Name)]
public class ManyLingeringPeersTests
{
    private const int PeerCount = 5_000;
    private const int DescriptorsNeeded = (2 * PeerCount) + 1_000; // Both ends of each connection, and the runtime's own.
    private const int ReplyBytes = 100;

    [Fact]
    public async Task PeersThatNeverSendFin_AreAllGoneAfterLingerIdleTimeout_AndAnEchoGoesOn()
    {
        if (OpenFiles.Limit is var limit and < DescriptorsNeeded)
        {
            RequiredProgram.SkipOrFail($"This process may open only {limit} descriptors and needs {DescriptorsNeeded} (ulimit -Hn).");
        }

        await using var server = await TestServer.StartAsync(ServeAsync, options => options.LingerIdleTimeout = TimeSpan.FromSeconds(2));
        await using var echo = await server.ConnectAsync();
        await echo.SendAsync("E"u8.ToArray());
        var memory = GC.GetTotalMemory(forceFullCollection: true);
        var echoing = new CancellationTokenSource();
        var roundTrips = EchoUntilAsync(echo, echoing.Token);

        var peers = new ConcurrentBag<ScriptedPeer>();
        await Parallel.ForAsync(0, PeerCount, async (_, _) =>
        {
            var peer = await server.ConnectAsync();
            peers.Add(peer);
            await peer.SendAsync("R"u8.ToArray());
        });

        for (var i = 0; i < PeerCount; i++)
        {
            var result = await server.NextResultAsync();
            Assert.Equal((CloseOutcome.LingerTimedOut, 0), (result.Outcome, result.UnacknowledgedBytes));
        }

        // Every descriptor that is left is that of the echo; each peer had its reply and the FIN, then RST.
        await Eventually.IsTrueAsync(() => KernelSocket.OnPort(server.Port).Count(socket => socket is { RemotePort: > 0, HasDescriptor: true }) == 1);
        await Parallel.ForEachAsync(peers, async (peer, _) =>
        {
            Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
            await peer.SendUntilResetAsync();
            await peer.DisposeAsync();
        });

        peers.Clear();
        await echoing.CancelAsync();
        Assert.True(await roundTrips.InTimeAsync() > 0);

        // A connection and its peer hold several KiB while they are open; what is left is what pools keep.
        await Eventually.IsTrueAsync(() => GC.GetTotalMemory(forceFullCollection: true) - memory < PeerCount * 1024L);
        echo.HalfClose();
        Assert.Equal((0, PeerSaw.Eof), await echo.ReadToEndAsync());
        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
    }

    // The first byte says what the peer wants: its bytes back, or a reply and the end.
    private static async Task ServeAsync(ConnectionContext connection)
    {
        var first = await connection.Transport.Input.ReadAsync();
        var wantsEcho = first.Buffer.FirstSpan[0] == (byte)'E';
        connection.Transport.Input.AdvanceTo(first.Buffer.GetPosition(1));
        await (wantsEcho ? HandlerSteps.EchoAsync(connection) : connection.SendAsync(ReplyBytes));
    }

    private static async Task<int> EchoUntilAsync(ScriptedPeer echo, CancellationToken stop)
    {
        var roundTrips = 0;
        var message = new byte[64];
        while (!stop.IsCancellationRequested)
        {
            await echo.SendAsync(message);
            await echo.ReadExactlyAsync(message.Length);
            roundTrips++;
        }

        return roundTrips;
    }
}
