using System.Text;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Habits;

/// <summary>Handlers that say by <c>BeginMessage()</c> when they are in the middle of a message.</summary>
public class MessageScopeTests
{
    private const string Head = "head\n";

    // Everything was consumed and the peer is silent for longer than MessageGap, so only the scope can tell.
    [Fact]
    public async Task Stop_ScopeIsOpen_WaitsForTheMessage()
    {
        var played = await Habit.CompareAsync(
            ServeAsync,
            static async play =>
            {
                await play.Peer.SendAsync(Head);
                await play.NotedAsync(1);
                await play.StopAsync();
                await Pace.PauseAsync(TimeSpan.FromSeconds(2.5));
                await play.Peer.SendAsync("body\n");
                await play.LetGoAsync("ok\n".Length);
            },
            new HabitSetup
            {
                Options = static options =>
                {
                    options.QuietTime = TimeSpan.FromMilliseconds(200);
                    options.MessageGap = TimeSpan.FromSeconds(1);
                },
            });

        played.AssertServedThenLetGo(["head", "body"], "ok\n");
    }

    // The peer was served a moment ago. Both times are beyond the limit of every wait: only the scope can tell.
    [Fact]
    public async Task Stop_NoScopeIsOpen_LetsTheHandlerGoAtOnce()
    {
        var played = await Habit.CompareAsync(
            ServeAsync,
            static async play =>
            {
                await play.Peer.SendAsync($"{Head}body\n");
                await play.Peer.ReceivedAsync("ok\n".Length);
                await play.StopAsync();
                await play.LetGoAsync("ok\n".Length);
            },
            new HabitSetup
            {
                Patience = 2 * TestServer.TestLimit,
                Options = static options =>
                {
                    options.QuietTime = 2 * TestServer.TestLimit;
                    options.MessageGap = 2 * TestServer.TestLimit;
                },
            });

        played.AssertServedThenLetGo(["head", "body"], "ok\n");
    }

    // Stock ends by FIN, and the peer takes half of a reply for the whole. Here it is known to be a half. A `using` would
    // end the scope on the exception's way out, and then nobody knows.
    [Fact]
    public async Task Fault_ScopeIsOpen_EndsByResetBehindWhatWasWritten()
    {
        const string half = "half of a reply";
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                var scope = play.Graceful?.BeginMessage();
                await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(half));
                var rest = play.Executed.Count == 0 ? throw new InvalidOperationException("The rest is lost.") : half;
                await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(rest));
                scope?.Dispose();
            },
            static play => play.Peer.EndedAsync());

        played.Print();
        Assert.Equal((half, half), (played.Stock.Text, played.Ours.Text));
        Assert.Equal((PeerSaw.Eof, PeerSaw.Reset), (played.Stock.End, played.Ours.End));
    }

    private static async Task ServeAsync(ConnectionContext connection, HabitPlay play)
    {
        using var reader = new StreamReader(connection.Transport.Input.AsStream());
        while (await reader.ReadLineAsync() is { } head)
        {
            using (play.Graceful?.BeginMessage())
            {
                play.Note(head);
                play.Note(await reader.ReadLineAsync() ?? throw new EndOfStreamException());
                await connection.Transport.Output.WriteAsync("ok\n"u8.ToArray());
            }
        }
    }
}
