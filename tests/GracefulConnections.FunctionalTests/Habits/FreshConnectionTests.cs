using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Habits;

/// <summary>A host stops right after a peer has connected. Its request is on the way, and stock serves it.</summary>
[Collection(SerialTests.Name)]
public class FreshConnectionTests
{
    private const int ServerCount = 5;
    private const int PeerCount = 10;
    private const string Reply = "ok DELETE 123456\n";

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(100)]
    public async Task Stop_RequestThatFollowsItsConnect_IsServed(int milliseconds)
    {
        var delay = TimeSpan.FromMilliseconds(milliseconds);
        var served = (Stock: 0, Ours: 0);
        for (var i = 0; i < ServerCount; i++)
        {
            var stock = CountServedAsync(isStock: true, delay);
            var ours = CountServedAsync(isStock: false, delay);
            served = (served.Stock + await stock, served.Ours + await ours);
        }

        Assert.Equal((ServerCount * PeerCount, ServerCount * PeerCount), served);
    }

    private static async Task<int> CountServedAsync(bool isStock, TimeSpan delay)
    {
        using var log = new CapturedLog();
        var play = new HabitPlay(isStock);
        var accepted = 0;
        await using var server = await Habit.StartAsync(play, CountAndServeAsync, new HabitSetup(), log);
        var connecting = Enumerable.Range(0, PeerCount).Select(_ => HabitPeer.ConnectAsync(server.EndPoint));
        var peers = await Task.WhenAll(connecting);

        // What waits in the listener's queue when the host stops is not the server's to serve.
        await Eventually.IsTrueAsync(() => Volatile.Read(ref accepted) == PeerCount);
        var stopping = server.StopAsync();
        var served = await Task.WhenAll(peers.Select(AskAsync));
        await stopping;
        return served.Count(static isServed => isServed);

        Task CountAndServeAsync(ConnectionContext connection, HabitPlay play)
        {
            Interlocked.Increment(ref accepted);
            return MessageHandlers.PipeLinesAsync(connection, play);
        }

        async Task<bool> AskAsync(HabitPeer peer)
        {
            await using (peer)
            {
                peer.StartReading();
                if (delay > TimeSpan.Zero)
                {
                    await Pace.PauseAsync(delay);
                }

                await peer.SendAsync("DELETE 123456\n");
                await peer.ReceivedAsync(Reply.Length);
                return peer.ReceivedBytes == Reply.Length;
            }
        }
    }
}
