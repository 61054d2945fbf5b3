using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>Programs that keep connections, in a table of users for example, and end them from elsewhere.</summary>
public class KeptConnectionTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Dispose_HandlerHasReturned_DoesNothing(bool isStock)
    {
        using var log = new CapturedLog();
        var (play, kept) = (new HabitPlay(isStock), (ConnectionContext?)null);
        await using var server = await Habit.StartAsync(play, ServeAsync, new HabitSetup(), log);
        await using var peer = await HabitPeer.ConnectAsync(server.EndPoint);
        peer.StartReading();
        await peer.EndedAsync(); // The peer keeps its side open, so that with the library the close goes on.

        await kept!.DisposeAsync();
        await kept.DisposeAsync();

        Assert.Equal((1, PeerSaw.Eof), (peer.Received.Length, peer.End));
        peer.HalfClose();
        if (play.Graceful is { } graceful)
        {
            Assert.Equal(CloseOutcome.Graceful, (await graceful.Closed.InTimeAsync()).Outcome);
        }

        async Task ServeAsync(ConnectionContext connection, HabitPlay play)
        {
            kept = connection;
            await connection.SendAsync(1);
        }
    }

    // The close of a connection is awaited by the one who began it. Awaited twice, it would end the process.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Dispose_ByManyThreadsWhileTheHandlerReturns_EndsTheConnectionOnce(bool isStock)
    {
        const int connections = 50;
        using var log = new CapturedLog();
        var play = new HabitPlay(isStock);
        await using var server = await Habit.StartAsync(play, ServeAsync, new HabitSetup(), log);
        for (var i = 0; i < connections; i++)
        {
            await using var peer = await HabitPeer.ConnectAsync(server.EndPoint);
            peer.StartReading();
            await peer.EndedAsync();
            Assert.Equal((1, PeerSaw.Eof), (peer.Received.Length, peer.End));
        }

        async Task ServeAsync(ConnectionContext connection, HabitPlay play)
        {
            await connection.SendAsync(1);
            for (var i = 0; i < 4; i++)
            {
                ThreadPool.UnsafeQueueUserWorkItem(
                    connection => _ = connection.DisposeAsync().AsTask(), connection, preferLocal: false);
            }
        }
    }
}
