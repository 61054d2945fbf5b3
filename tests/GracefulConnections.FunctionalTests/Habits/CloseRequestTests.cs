using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Habits;

/// <summary>Every kind of close request treats a handler as a stop does. On stock nobody asks.</summary>
public class CloseRequestTests
{
    private const string Reply = "ok DELETE 123456\n";

    private static readonly TimeSpan Short = TimeSpan.FromSeconds(0.5);
    private static readonly string[] Line = ["DELETE 123456"];

    public static TheoryData<CloseReason> Reasons { get; } =
        [CloseReason.Application, CloseReason.Drain, CloseReason.IdleTimeout, CloseReason.MaxConnectionAge];

    [Theory]
    [MemberData(nameof(Reasons))]
    public async Task CloseRequest_HalfALineInAStreamReader_IsExecutedWhole(CloseReason reason)
    {
        var played = await Habit.CompareAsync(
            MessageHandlers.StreamReaderAsync,
            async play =>
            {
                await play.Peer.SendAsync("DELETE 12");
                await Pace.TakenAsync();
                await AskAsync(play, reason);
                await Pace.PauseAsync(Pace.HalfMessage);
                await play.Peer.SendAsync("3456\n");
                await play.LetGoAsync(Reply.Length);
            },
            SetupFor(reason));

        played.AssertServedThenLetGo(Line, Reply);
        Assert.Equal(reason, played.Ours.Close!.Value.Reason);
    }

    [Theory]
    [MemberData(nameof(Reasons))]
    public async Task CloseRequest_UploadThatPauses_IsStoredWhole(CloseReason reason)
    {
        var played = await Habit.CompareAsync(
            StoreHandlers.UntilEndAsync,
            async play =>
            {
                await play.Peer.SendAsync(new byte[5000]);
                await Pace.TakenAsync();
                await AskAsync(play, reason);
                await Pace.PauseAsync(Pace.HalfMessage);
                await play.Peer.SendAsync(new byte[50_000]);
                play.Peer.HalfClose();
                await play.Peer.EndedAsync();
            },
            SetupFor(reason));

        played.AssertServedToTheHandlersEnd(["stored 55000"], "stored 55000\n");
    }

    /// <summary>
    /// The handler leaves half a line in the pipe and waits for the rest, which never comes. No deadline of a drain's
    /// ends that, so silence does. On stock only the peer's own end does.
    /// </summary>
    [Theory]
    [InlineData(CloseReason.Application)]
    [InlineData(CloseReason.IdleTimeout)]
    [InlineData(CloseReason.MaxConnectionAge)]
    public async Task CloseRequest_RestOfALineInThePipeNeverComes_IsResetAndNothingIsExecuted(CloseReason reason)
    {
        const string answered = "ok PING\n";
        var played = await Habit.CompareAsync(
            MessageHandlers.PipeLinesAsync,
            async play =>
            {
                await play.Peer.SendAsync("PING\nDELETE 12");
                await play.Peer.ReceivedAsync(answered.Length);
                await AskAsync(play, reason);
                await play.LetGoAsync(answered.Length);
            },
            SetupFor(reason));

        played.AssertCarriedAlike(["PING"], answered);
        Assert.Equal((PeerSaw.Eof, PeerSaw.Reset), (played.Stock.End, played.Ours.End));
        Assert.True(played.Ours.IsReadCancelled, $"{played.Ours}");
        Assert.Equal(reason, played.Ours.Close!.Value.Reason);
    }

    /// <summary>The same, and the rest comes within <c>MessageGap</c>, piece by piece.</summary>
    [Theory]
    [InlineData(CloseReason.Application)]
    [InlineData(CloseReason.IdleTimeout)]
    [InlineData(CloseReason.MaxConnectionAge)]
    public async Task CloseRequest_RestOfALineInThePipeComesLate_IsExecutedWhole(CloseReason reason)
    {
        var played = await Habit.CompareAsync(
            MessageHandlers.PipeLinesAsync,
            async play =>
            {
                await play.Peer.SendAsync("DELETE 12");
                await Pace.TakenAsync();
                await AskAsync(play, reason);
                await Pace.PauseAsync(TimeSpan.FromSeconds(2.5)); // More than QuietTime, which may not decide here.
                await play.Peer.SendAsync("34");
                await Pace.PauseAsync(TimeSpan.FromSeconds(3)); // Together more than MessageGap.
                await play.Peer.SendAsync("56\n");
                await play.LetGoAsync(Reply.Length);
            },
            SetupFor(reason));

        played.AssertServedThenLetGo(Line, Reply);
        Assert.Equal(reason, played.Ours.Close!.Value.Reason);
    }

    [Fact]
    public async Task IdleTimeout_HandlerComputesForLonger_IsNotAsked()
    {
        var played = await Habit.CompareAsync(
            ComputeAsync,
            static async play =>
            {
                await play.Peer.SendAsync("x");
                await play.LetGoAsync("done\n".Length);
            },
            new HabitSetup { Options = static options => options.IdleTimeout = Short });

        played.AssertServedThenLetGo(["asked: False"], "done\n");
        Assert.Equal(CloseReason.IdleTimeout, played.Ours.Close!.Value.Reason);
    }

    private static async Task ComputeAsync(ConnectionContext connection, HabitPlay play)
    {
        var input = connection.Transport.Input;
        while (true)
        {
            var read = await input.ReadAsync();
            var isRequest = !read.Buffer.IsEmpty;
            input.AdvanceTo(read.Buffer.End);
            if (isRequest)
            {
                await Pace.PauseAsync(TimeSpan.FromSeconds(3));
                play.Note($"asked: {play.CloseRequested.IsCancellationRequested}");
                await connection.Transport.Output.WriteAsync("done\n"u8.ToArray());
            }

            if (read.IsCompleted)
            {
                return;
            }
        }
    }

    private static HabitSetup SetupFor(CloseReason reason) => new()
    {
        Options = options =>
        {
            options.IdleTimeout = reason == CloseReason.IdleTimeout ? Short : null;
            options.MaxConnectionAge = reason == CloseReason.MaxConnectionAge ? Short : null;
        },
    };

    private static async Task AskAsync(HabitPlay play, CloseReason reason)
    {
        if (reason == CloseReason.Application)
        {
            play.Graceful?.RequestClose();
        }
        else if (reason == CloseReason.Drain && !play.IsStock)
        {
            play.StartDraining();
        }

        await play.RequestedAsync();
    }
}
