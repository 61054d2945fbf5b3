using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Habits;

/// <summary>
/// A host stops in the middle of a message whose second half comes 0.7 s later. Nobody may execute half of it, and what
/// stock Kestrel carries arrives with the library too.
/// </summary>
public class HalfMessageTests
{
    private const string Reply = "ok DELETE 123456\n";

    private static readonly string[] Line = ["DELETE 123456"];
    private static readonly string[] Body = ["abcdef"];
    private static readonly byte[] Header = [0, 0, 0, 6];

    private static Func<HabitPlay, Task> HalfALine => Scripts.Halves("DELETE 12", "3456\n", Reply);

    [Fact]
    public async Task Stop_HalfALineInAStreamReader_IsExecutedWhole()
    {
        var played = await Habit.CompareAsync(MessageHandlers.StreamReaderAsync, HalfALine);

        played.AssertServedThenLetGo(Line, Reply);
    }

    [Fact]
    public async Task Stop_HalfALineInThePipe_IsExecutedWhole()
    {
        var played = await Habit.CompareAsync(MessageHandlers.PipeLinesAsync, HalfALine);

        played.AssertServedThenLetGo(Line, Reply);
    }

    // It looks at the token between two lines, so it returns by itself after the line that was in hand.
    [Fact]
    public async Task Stop_HalfALineInAHandlerThatLooksAtTheToken_IsExecutedWhole()
    {
        var played = await Habit.CompareAsync(
            static (connection, play) => new LineConnectionHandler(play).OnConnectedAsync(connection),
            HalfALine,
            new HabitSetup { StockHandler = MessageHandlers.StreamReaderAsync });

        played.AssertCarriedAlike(Line, Reply);
        Assert.Equal(PeerSaw.Eof, played.Ours.End);
        Assert.Null(played.Ours.Fault);
        Assert.Equal(CloseOutcome.Graceful, played.Ours.Close!.Value.Outcome);
    }

    [Fact]
    public async Task Stop_HalfAFrameInABinaryReader_IsExecutedWhole()
    {
        var played = await Habit.CompareAsync(
            MessageHandlers.BinaryReaderAsync, Scripts.Halves([.. Header, .. "abc"u8], "def"u8.ToArray(), "ok\n"));

        played.AssertServedThenLetGo(Body, "ok\n");
    }

    [Fact]
    public async Task Stop_HeaderConsumedAndBodyMissing_IsExecutedWhole()
    {
        var played = await Habit.CompareAsync(
            MessageHandlers.HeaderThenBodyAsync, Scripts.Halves(Header, "abcdef"u8.ToArray(), "ok\n"));

        played.AssertServedThenLetGo(Body, "ok\n");
    }

    [Fact]
    public async Task Stop_HeaderConsumedAndHalfABody_IsExecutedWhole()
    {
        var played = await Habit.CompareAsync(
            MessageHandlers.HeaderThenBodyAsync, Scripts.Halves([.. Header, .. "abc"u8], "def"u8.ToArray(), "ok\n"));

        played.AssertServedThenLetGo(Body, "ok\n");
    }

    // Both came at once, and the answer to the first one does not answer what the handler takes behind it.
    [Fact]
    public async Task Stop_HalfALineBehindAnAnsweredOne_IsExecutedWhole()
    {
        const string both = "ok PING\n" + Reply;
        var played = await Habit.CompareAsync(
            MessageHandlers.ByteByByteAsync,
            Scripts.Halves("PING\nDELETE 12", "3456\n", both, "ok PING\n".Length, pause: 2.5));

        played.AssertServedThenLetGo(["PING", .. Line], both);
    }

    // Half a line was answered and counts as a message, so the silence here must be below QuietTime.
    [Fact]
    public async Task Stop_HalfALineThatWasEchoedByCopyToAsync_IsEchoedWhole()
    {
        var played = await Habit.CompareAsync(
            static (connection, _) => connection.Transport.Input.CopyToAsync(connection.Transport.Output),
            Scripts.Halves("DELETE 12", "3456\n", "DELETE 123456\n", "DELETE 12".Length, pause: 0.3),
            new HabitSetup { Options = static options => options.QuietTime = TimeSpan.FromSeconds(4) }); // A busy machine makes the pause longer.

        played.AssertServedThenLetGo([], "DELETE 123456\n");
    }

    // The second half never comes. Stock resets at the end of its patience, and so may we, but earlier.
    [Fact]
    public async Task Stop_SecondHalfNeverComes_NothingIsExecutedAndThePeerIsReset()
    {
        var played = await Habit.CompareAsync(
            MessageHandlers.StreamReaderAsync,
            static async play =>
            {
                await play.Peer.SendAsync("DELETE 12");
                await Pace.TakenAsync();
                await play.StopAsync();
                await play.Peer.EndedAsync();
            },
            new HabitSetup { StockPatience = TimeSpan.FromSeconds(2) });

        played.AssertCarriedAlike([], "");
        Assert.Equal((PeerSaw.Reset, PeerSaw.Reset), (played.Stock.End, played.Ours.End));
        Assert.True(played.Ours.IsReadCancelled, $"{played.Ours}");
    }
}
