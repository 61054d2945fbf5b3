using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>Closes over IPv6 and over multipath TCP: outcome and bytes are as the peer has them.</summary>
public class NetworkKindTests
{
    private const int ReplyBytes = 1_500_000;
    private const int StuckReplyBytes = 12_000_000; // More than both kernels hold.

    public static TheoryData<string> Wires { get; } = [nameof(HabitWire.IPv6), nameof(HabitWire.Mptcp)];

    [Theory]
    [MemberData(nameof(Wires))]
    public async Task Return_PeerReadsLate_GetsTheWholeReply(string wire)
    {
        var played = await Habit.CompareAsync(
            (connection, play) =>
            {
                play.Note($"{MptcpSocket.Is(connection.Features.Get<IConnectionSocketFeature>()!.Socket)}");
                return connection.SendAsync(ReplyBytes);
            },
            static async play =>
            {
                await play.Handled.InTimeAsync();
                play.Peer.StartReading();
                await play.Peer.EndedAsync();
            },
            SetupFor(wire) with { ReadsAtOnce = false });

        played.Print();
        foreach (var result in (HabitResult[])[played.Stock, played.Ours])
        {
            Assert.Equal([$"{wire == nameof(HabitWire.Mptcp)}"], result.Executed);
            Assert.Equal((ReplyBytes, PeerSaw.Eof), (result.Received.Length, result.End));
        }

        AssertGraceful(played.Ours);
    }

    // Stock loses most of it, or nothing: that is luck.
    [Theory]
    [MemberData(nameof(Wires))]
    public async Task Return_PeerUploads_GetsTheWholeReply(string wire)
    {
        var played = await Habit.CompareAsync(
            static (connection, _) => connection.SendAsync(ReplyBytes),
            static async play =>
            {
                for (var i = 0; i < 40 && await play.Peer.SendAsync(new byte[64 * 1024]); i++)
                {
                    await Pace.PauseAsync(TimeSpan.FromMilliseconds(5));
                }

                play.Peer.HalfClose();
                play.Peer.StartReading();
                await play.Peer.EndedAsync();
            },
            SetupFor(wire) with { ReadsAtOnce = false });

        played.Print();
        Assert.InRange(played.Stock.Received.Length, 0, ReplyBytes);
        Assert.Equal((ReplyBytes, PeerSaw.Eof), (played.Ours.Received.Length, played.Ours.End));
        AssertGraceful(played.Ours);
    }

    // Stock goes on for as long as the peer stays.
    [Theory]
    [MemberData(nameof(Wires))]
    public async Task Return_PeerDoesNotRead_TellsWhatItMissed(string wire)
    {
        var played = await Habit.CompareAsync(
            static (connection, play) =>
            {
                _ = connection.SendAsync(StuckReplyBytes);
                return Task.CompletedTask;
            },
            static async play =>
            {
                if (play.Graceful is { } graceful)
                {
                    await graceful.Closed.InTimeAsync();
                    await play.Peer.ResetArrivesAsync();
                }

                play.Peer.StartReading();
                await play.Peer.EndedAsync();
            },
            SetupFor(wire) with
            {
                ReadsAtOnce = false,
                Options = static options => options.FlushStallTimeout = TimeSpan.FromMilliseconds(500),
            });

        played.Print();
        Assert.Equal((StuckReplyBytes, PeerSaw.Eof), (played.Stock.Received.Length, played.Stock.End));
        var close = played.Ours.Close!.Value;
        Assert.Equal((CloseOutcome.FlushTimedOut, PeerSaw.Reset), (close.Outcome, played.Ours.End));
        var missed = StuckReplyBytes - played.Ours.Received.Length;
        Assert.InRange(close.UnacknowledgedBytes!.Value, missed, missed + TestServer.LargestSend);
    }

    [Theory]
    [MemberData(nameof(Wires))]
    public async Task Return_PeerResets_IsToldAsTheReset(string wire)
    {
        var played = await Habit.CompareAsync(
            static (connection, play) =>
            {
                _ = connection.SendAsync(StuckReplyBytes);
                return Task.CompletedTask;
            },
            static async play =>
            {
                await play.Handled.InTimeAsync();
                play.Peer.Socket.Close(0);
            },
            SetupFor(wire) with { ReadsAtOnce = false });

        played.Print();
        Assert.Null(played.Stock.Fault);
        var close = played.Ours.Close!.Value;
        Assert.Equal(CloseOutcome.PeerReset, close.Outcome);
        Assert.InRange(close.UnacknowledgedBytes!.Value, 1, StuckReplyBytes);
        Assert.Empty(played.Ours.Errors);
    }

    private static HabitSetup SetupFor(string wire) => new() { Wire = Enum.Parse<HabitWire>(wire) };

    private static void AssertGraceful(HabitResult ours)
    {
        Assert.Equal((CloseOutcome.Graceful, 0L), (ours.Close!.Value.Outcome, ours.Close.Value.UnacknowledgedBytes));
        Assert.Empty(ours.Errors);
    }
}
