using System.Buffers;
using System.Text;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// Middlewares before <c>UseGracefulShutdown()</c> that run the handler more than once on a connection: once for each
/// message, or again after it failed.
/// </summary>
public class RepeatedNextTests
{
    private const int MessageBytes = 4;

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)] // The handler gets the second message with the first one, and leaves it.
    [InlineData(false, true)]
    public async Task Next_OnceForEachMessage_IsServed(bool sendsAtOnce, bool hasWritten)
    {
        var played = await Habit.CompareAsync(
            EchoOneAsync,
            async play =>
            {
                var banner = hasWritten ? 1 : 0;
                for (var i = 0; i < 3; i++)
                {
                    await play.Peer.SendAsync($"ABC{i}");
                    if (!sendsAtOnce)
                    {
                        await play.Peer.ReceivedAsync(banner + ((i + 1) * MessageBytes));
                    }
                }

                await play.Peer.ReceivedAsync(banner + (3 * MessageBytes));
                play.Peer.HalfClose();
                await play.Peer.EndedAsync();
            },
            new HabitSetup
            {
                Before = endpoint => endpoint.Use(next => async connection =>
                {
                    if (hasWritten)
                    {
                        await connection.Transport.Output.WriteAsync("!"u8.ToArray()); // Its end is left to the server.
                    }

                    do
                    {
                        await next(connection);
                    }
                    while (await HasMessageAsync(connection));
                }),
            });

        played.AssertCarriedAlike(["ABC0", "ABC1", "ABC2"], $"{(hasWritten ? "!" : "")}ABC0ABC1ABC2");
        Assert.Equal((PeerSaw.Eof, PeerSaw.Eof), (played.Stock.End, played.Ours.End));
        if (!hasWritten)
        {
            Assert.Equal((CloseOutcome.Graceful, 0L), (played.Ours.Close!.Value.Outcome, played.Ours.Close.Value.UnacknowledgedBytes));
        }
    }

    [Fact]
    public async Task Next_AgainAfterAFailure_GoesOnWithWhatIsLeft()
    {
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                await EchoOneAsync(connection, play);
                if (play.Executed.Count == 1)
                {
                    throw new FormatException("The handler's own.");
                }
            },
            static async play =>
            {
                await play.Peer.SendAsync("ABC0ABC1");
                await play.Peer.EndedAsync();
            },
            new HabitSetup
            {
                Before = static endpoint => endpoint.Use(static next => async connection =>
                {
                    try
                    {
                        await next(connection);
                    }
                    catch (FormatException)
                    {
                        await next(connection);
                    }
                }),
            });

        played.AssertCarriedAlike(["ABC0", "ABC1"], "ABC0ABC1");
        Assert.Equal((PeerSaw.Eof, PeerSaw.Eof), (played.Stock.End, played.Ours.End));
    }

    // A stop asks the handler of the second message, too, and its read is cancelled.
    [Fact]
    public async Task Stop_DuringTheSecondRun_TheHandlerIsAsked()
    {
        var play = new HabitPlay(isStock: false);
        var result = await Habit.PlayAsync(
            play,
            EchoOneAsync,
            static async play =>
            {
                await play.Peer.SendAsync("ABC0");
                await play.NotedAsync(2);
                _ = play.StopAsync();
                await play.Peer.EndedAsync();
                play.Peer.HalfClose();
                await play.Server.StopAsync().InTimeAsync();
            },
            new HabitSetup
            {
                Patience = 2 * TestServer.TestLimit,
                Options = TestServer.BecomeQuietSoon,
                Before = endpoint => endpoint.Use(next => async connection =>
                {
                    await next(connection);
                    play.Note("again");
                    await next(connection);
                    play.Note("over");
                }),
            });

        Assert.Equal(["ABC0", "again", "over"], result.Executed);
        Assert.Equal(("ABC0", PeerSaw.Eof), (result.Text, result.End));
        Assert.Equal((CloseOutcome.Graceful, 0L), (result.Close!.Value.Outcome, result.Close.Value.UnacknowledgedBytes));
    }

    // The second run is cut off by the middleware's return, as the first one would be.
    [Fact]
    public async Task Return_DuringTheSecondRun_AllOfItArrives()
    {
        const int writtenBytes = 12_000_000;
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                var ended = connection.ConnectionClosed.WaitHandle;
                play.Note("serves");
                if (play.Executed.Count == 2)
                {
                    _ = connection.Transport.Output.WriteAsync(new byte[writtenBytes]).AsTask();
                    play.Note("written");
                    await Eventually.IsTrueAsync(() => ended.WaitOne(0));
                }
            },
            static async play =>
            {
                await play.NotedAsync(3);
                await Pace.PauseAsync(Pace.HalfMessage);
                play.Peer.StartReading();
                await play.Peer.EndedAsync();
                play.Peer.HalfClose();
            },
            new HabitSetup
            {
                ReadsAtOnce = false,
                Before = static endpoint => endpoint.Use(static next => async connection =>
                {
                    await next(connection);
                    _ = next(connection);
                }),
            });

        played.Print();
        Assert.Equal((writtenBytes, PeerSaw.Eof), (played.Stock.Received.Length, played.Stock.End));
        Assert.Equal((writtenBytes, PeerSaw.Eof), (played.Ours.Received.Length, played.Ours.End));
        Assert.Equal((CloseOutcome.Graceful, 0L), (played.Ours.Close!.Value.Outcome, played.Ours.Close.Value.UnacknowledgedBytes));
    }

    private static async Task<bool> HasMessageAsync(ConnectionContext connection)
    {
        var read = await connection.Transport.Input.ReadAsync();
        connection.Transport.Input.AdvanceTo(read.Buffer.Start);
        return !read.Buffer.IsEmpty;
    }

    private static async Task EchoOneAsync(ConnectionContext connection, HabitPlay play)
    {
        var read = await connection.Transport.Input.ReadAtLeastAsync(MessageBytes);
        var message = read.Buffer.Slice(0, MessageBytes).ToArray();
        connection.Transport.Input.AdvanceTo(read.Buffer.GetPosition(MessageBytes));
        play.Note(Encoding.ASCII.GetString(message));
        await connection.Transport.Output.WriteAsync(message);
    }
}
