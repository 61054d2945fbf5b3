using System.Buffers;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>Handlers that end by an exception: what they wrote arrives as on stock Kestrel.</summary>
public class HandlerFaultTests
{
    private const int ReplyBytes = 200_000;

    // As every handler does that reads frames by ReadExactlyAsync: the exception is how it learns of the end.
    [Fact]
    public async Task EndOfStream_ReplyIsOnItsWay_ArrivesWholeAndIsNoError()
    {
        var played = await Habit.CompareAsync(
            static async (connection, _) =>
            {
                var stream = connection.Transport.Input.AsStream();
                var frame = new byte[10];
                while (true)
                {
                    await stream.ReadExactlyAsync(frame);
                    await connection.Transport.Output.WriteAsync(new byte[ReplyBytes]);
                }
            },
            static async play =>
            {
                await play.Peer.SendAsync(new byte[10]);
                play.Peer.HalfClose();
                await Pace.PauseAsync(Pace.HalfMessage);
                play.Peer.StartReading();
                await play.Peer.EndedAsync();
            },
            LateReader);

        AssertArrived(played, ReplyBytes);
        Assert.IsType<EndOfStreamException>(played.Ours.Fault);
        Assert.Empty(played.Ours.Errors);
        var close = played.Ours.Close!.Value;
        Assert.Equal((CloseOutcome.Graceful, 0L), (close.Outcome, close.UnacknowledgedBytes));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Fault_BytesWereWritten_ArriveFlushedOrNot(bool isFlushed)
    {
        const int writtenBytes = 60_000;
        var played = await Habit.CompareAsync(
            async (connection, _) =>
            {
                await connection.ReadExactlyAsync(1); // A fault before that can meet the peer's connect.
                connection.Transport.Output.Write(new byte[writtenBytes]);
                if (isFlushed)
                {
                    await connection.Transport.Output.FlushAsync();
                }

                throw new InvalidOperationException("The handler fails.");
            },
            static async play =>
            {
                await play.Peer.SendAsync("x");
                await Pace.PauseAsync(Pace.HalfMessage);
                play.Peer.StartReading();
                await play.Peer.EndedAsync();
            },
            LateReader);

        AssertArrived(played, writtenBytes);
        Assert.Single(played.Ours.Errors); // Kestrel's own line, as on stock.
        Assert.Single(played.Stock.Errors);
        Assert.Equal(CloseReason.HandlerFaulted, played.Ours.Close!.Value.Reason);
    }

    // As a framework does that completes its output by whatever ended its loop. Nothing is missing, so nothing is told.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task OutputCompletedWithAnException_NothingIsUnanswered_EndsWithFin(bool isStop)
    {
        const string reply = "ok line\n";
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                var end = new IOException("The peer has gone.");
                try
                {
                    await MessageHandlers.PipeLinesAsync(connection, play);
                }
                catch (OperationCanceledException exception)
                {
                    end = new IOException("The connection was cancelled.", exception);
                }

                await connection.Transport.Output.CompleteAsync(end);
            },
            async play =>
            {
                await play.Peer.SendAsync("line\n");
                await play.Peer.ReceivedAsync(reply.Length);
                if (isStop)
                {
                    await play.StopAsync();
                }
                else
                {
                    play.Peer.HalfClose();
                }

                await play.Peer.EndedAsync();
            },
            new HabitSetup { StockPatience = TimeSpan.FromSeconds(2) });

        played.Print();
        Assert.Equal((reply, reply), (played.Stock.Text, played.Ours.Text));
        Assert.Equal(PeerSaw.Eof, played.Ours.End);
        Assert.Equal(CloseOutcome.Graceful, played.Ours.Close!.Value.Outcome);
        Assert.Empty(played.Ours.Errors);
    }

    private static HabitSetup LateReader => new()
    {
        ReadsAtOnce = false,
        Socket = static socket => socket.ReceiveBufferSize = 16 * 1024,
    };

    private static void AssertArrived(HabitComparison played, int bytes)
    {
        played.Print();
        Assert.Equal((bytes, PeerSaw.Eof), (played.Stock.Received.Length, played.Stock.End));
        Assert.Equal((bytes, PeerSaw.Eof), (played.Ours.Received.Length, played.Ours.End));
    }
}
