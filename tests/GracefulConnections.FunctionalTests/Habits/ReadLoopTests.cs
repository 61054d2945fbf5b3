using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Habits;

/// <summary>Handlers that take a cancelled read for something else, and read again.</summary>
public class ReadLoopTests
{
    // Its end falls between two pings, of which the one that is under way then may not arrive.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5.5);

    // A reader that answered a close request at once every time would be called 100,000 times a second by it.
    [Fact]
    public async Task Stop_LoopThatCatchesCancellationsAndPings_DoesNotSpin()
    {
        var played = await Habit.CompareAsync(
            PingAsync,
            static async play =>
            {
                await play.Peer.SendAsync("a");
                await play.Peer.ReceivedAsync(1);
                await play.StopAsync();
                await play.Peer.EndedAsync();
            },
            new HabitSetup { Patience = Patience, StockPatience = TimeSpan.FromSeconds(2) });

        played.Print();
        var rounds = played.Ours.Executed.Count(static what => what == "cancelled");
        Assert.InRange(rounds, 3, 2 + (int)Patience.TotalSeconds + 1); // Two at once, then one in a second.
        Assert.InRange(played.Ours.Received.Length, rounds, 1 + rounds); // Its ping at the deadline may not arrive.
    }

    // A handler's own time limit for a read is its own business: it goes on after it.
    [Fact]
    public async Task Stop_LoopThatTimesItsReadsOut_IsServedUntilThePeerIsSilent()
    {
        var played = await Habit.CompareAsync(
            TimedReadsAsync,
            static async play =>
            {
                await play.Peer.SendAsync("DELETE 12");
                await play.NotedAsync(1);
                await play.StopAsync();
                await Pace.PauseAsync(Pace.HalfMessage);
                await play.Peer.SendAsync("3456\n");
                await play.LetGoAsync("ok\n".Length);
            });

        played.Print();
        Assert.Equal("ok\n", played.Stock.Text);
        Assert.Equal("ok\n", played.Ours.Text);
        Assert.Equal(PeerSaw.Eof, played.Ours.End);
        Assert.True(played.Ours.IsReadCancelled, $"{played.Ours}");
    }

    private static async Task PingAsync(ConnectionContext connection, HabitPlay play)
    {
        var input = connection.Transport.Input;
        while (true)
        {
            try
            {
                using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
                var read = await input.ReadAsync(limit.Token);
                input.AdvanceTo(read.Buffer.End);
                play.Note("read");
                await connection.Transport.Output.WriteAsync("."u8.ToArray());
                if (read.IsCompleted)
                {
                    return;
                }
            }
            catch (OperationCanceledException exception)
            {
                // It thinks that the peer was silent for too long. An abort is one of these exceptions too.
                play.Note(exception.CancellationToken == play.CloseRequested ? "cancelled" : "aborted");
                if ((await connection.Transport.Output.WriteAsync("."u8.ToArray())).IsCompleted)
                {
                    return;
                }
            }
        }
    }

    private static async Task TimedReadsAsync(ConnectionContext connection, HabitPlay play)
    {
        var input = connection.Transport.Input;
        while (true)
        {
            try
            {
                using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(0.2));
                var read = await input.ReadAsync(limit.Token);
                if (read.Buffer.FirstSpan.EndsWith("\n"u8))
                {
                    await connection.Transport.Output.WriteAsync("ok\n"u8.ToArray());
                }

                input.AdvanceTo(read.Buffer.End);
                play.Note("read");
                if (read.IsCompleted)
                {
                    return;
                }
            }
            catch (OperationCanceledException exception) when (exception.CancellationToken != play.CloseRequested)
            {
                // The next look.
            }
        }
    }
}
