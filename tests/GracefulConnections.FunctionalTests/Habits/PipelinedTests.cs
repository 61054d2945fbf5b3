using System.Globalization;
using System.Text;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Habits;

/// <summary>A host stops while requests follow each other closely.</summary>
public class PipelinedTests
{
    private const string FirstReply = "ok first\n";
    private const string Replies = $"{FirstReply}ok DELETE 123456\n";

    private static readonly string[] Executed = ["first", "DELETE 123456"];

    // The handler has answered, and a reader on top of it holds the rest: below QuietTime nobody can know better.
    private static Func<HabitPlay, Task> HalfBehindOne =>
        Scripts.Halves("first\nDELETE 12", "3456\n", Replies, FirstReply.Length, pause: 0.3);

    // Far longer than the peer's pause, also where the machine is busy.
    private static HabitSetup LongQuietTime => new()
    {
        Options = static options => (options.QuietTime, options.MessageGap) = (TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(10)),
    };

    [Fact]
    public async Task Stop_HalfARequestBehindOneThatWasAnsweredInThePipe_IsExecutedWhole()
    {
        var played = await Habit.CompareAsync(MessageHandlers.PipeLinesAsync, HalfBehindOne, LongQuietTime);

        played.AssertServedThenLetGo(Executed, Replies);
    }

    [Fact]
    public async Task Stop_HalfARequestBehindOneThatWasAnsweredInAStreamReader_IsExecutedWhole()
    {
        var played = await Habit.CompareAsync(MessageHandlers.StreamReaderAsync, HalfBehindOne, LongQuietTime);

        played.AssertServedThenLetGo(Executed, Replies);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Stop_BusyRequestReply_AnswersEveryRequest(bool isStream)
    {
        var played = await Habit.CompareAsync(
            isStream ? MessageHandlers.StreamReaderAsync : MessageHandlers.PipeLinesAsync,
            async play =>
            {
                var requests = 0;
                var received = 0;
                var stop = Task.CompletedTask;
                var until = TimeProvider.System.GetTimestamp();
                while (TimeProvider.System.GetElapsedTime(until) < TimeSpan.FromSeconds(2.5))
                {
                    var request = requests.ToString("D6", CultureInfo.InvariantCulture);
                    Assert.True(await play.Peer.SendAsync($"{request}\n"), $"Request {requests} could not be sent.");
                    received += $"ok {request}\n".Length;
                    await play.Peer.ReceivedAsync(received);
                    Assert.Equal(received, play.Peer.ReceivedBytes);
                    if (++requests == 10)
                    {
                        stop = play.StopAsync();
                    }
                }

                await stop;
                play.Note($"sent {requests}");
                await play.LetGoAsync(received);
            });

        played.Print();
        foreach (var result in (HabitResult[])[played.Stock, played.Ours])
        {
            var sent = int.Parse(result.Executed[^1].AsSpan("sent ".Length), CultureInfo.InvariantCulture);
            var lines = Enumerable.Range(0, sent).Select(static i => i.ToString("D6", CultureInfo.InvariantCulture));
            Assert.Equal(lines, result.Executed.SkipLast(1));
            Assert.Equal(string.Concat(lines.Select(static line => $"ok {line}\n")), result.Text);
        }

        Assert.Equal(PeerSaw.Eof, played.Ours.End);
        Assert.True(played.Ours.IsReadCancelled);
        Assert.Empty(played.Ours.Errors);
    }
}
