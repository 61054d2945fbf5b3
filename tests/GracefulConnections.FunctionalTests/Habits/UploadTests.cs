using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Habits;

/// <summary>A host stops while a peer sends a file that its FIN ends. A part must not pass for the whole.</summary>
public class UploadTests
{
    public static TheoryData<string> Handlers { get; } = ["ReadAsync", "CopyToAsync", "CopyToAsync of the stream"];

    [Theory]
    [MemberData(nameof(Handlers))]
    public async Task Stop_UploadThatPauses_IsStoredWhole(string handler)
    {
        var played = await Habit.CompareAsync(
            HandlerOf(handler),
            Scripts.Upload(5000, 10, Pace.HalfMessage, TimeSpan.FromMilliseconds(50)));

        played.AssertServedToTheHandlersEnd(["stored 55000"], "stored 55000\n");
    }

    [Theory]
    [MemberData(nameof(Handlers))]
    public async Task Stop_UploadAtAPaceOfFiveMilliseconds_IsStoredWhole(string handler)
    {
        var pace = TimeSpan.FromMilliseconds(5);
        var played = await Habit.CompareAsync(HandlerOf(handler), Scripts.Upload(10_000, 200, pace, pace));

        played.AssertServedToTheHandlersEnd(["stored 2010000"], "stored 2010000\n");
    }

    [Fact]
    public async Task Stop_UploadOverASlowLink_IsStoredWhole()
    {
        const int fileBytes = 2_000_000; // 3.2 s at 10 Mbit/s for two.
        using var network = Networks.Create();
        network.LimitSpeed(10_000_000); // Both share it.
        var played = await Habit.CompareAsync(
            StoreHandlers.UntilEndAsync,
            static async play =>
            {
                var sending = play.Peer.SendAsync(new byte[fileBytes]);
                await Pace.PauseAsync(TimeSpan.FromSeconds(1));
                await play.StopAsync();
                await sending;
                play.Peer.HalfClose();
                await play.Peer.EndedAsync();
            },
            new HabitSetup { Network = network });

        played.AssertServedToTheHandlersEnd([$"stored {fileBytes}"], $"stored {fileBytes}\n");
    }

    // It is answered by nobody: the peer learns nothing but that its connection ended.
    [Fact]
    public async Task Stop_OneWayIngest_StoresWhatStockStores()
    {
        var played = await Habit.CompareAsync(StoreHandlers.OneWayAsync, static async play =>
        {
            await play.Peer.SendAsync("one\ntwo\nthr");
            await play.NotedAsync(2);
            await play.StopAsync();
            await Pace.PauseAsync(Pace.HalfMessage);
            await play.Peer.SendAsync("ee\nfour\n");
            play.Peer.HalfClose();
            await play.Peer.EndedAsync();
        });

        played.AssertServedToTheHandlersEnd(["one", "two", "three", "four"], "");
    }

    [Theory]
    [InlineData(false, 0.3)]
    [InlineData(true, 1.5)] // Longer than QuietTime: only a handler that is known to be duplex may pause for so long.
    public async Task Stop_UploadThatIsAcknowledgedPieceByPiece_IsStoredWhole(bool isDuplex, double pause)
    {
        const int pieceBytes = 1000;
        const int pieceCount = 4;
        string[] acknowledgements = [.. Enumerable.Range(1, pieceCount).Select(static i => $"ack {i * pieceBytes}\n")];
        var played = await Habit.CompareAsync(
            isDuplex ? StoreHandlers.AcknowledgePiecesAsideAsync : StoreHandlers.AcknowledgePiecesAsync,
            async play =>
            {
                for (var i = 1; i <= pieceCount; i++)
                {
                    await play.Peer.SendAsync(new byte[pieceBytes]);
                    await play.Peer.ReceivedAsync(string.Concat(acknowledgements[..i]).Length);
                    if (i == 1)
                    {
                        await play.StopAsync();
                    }

                    await Pace.PauseAsync(TimeSpan.FromSeconds(pause));
                }

                play.Peer.HalfClose();
                await play.Peer.EndedAsync();
            });

        const int total = pieceBytes * pieceCount;
        played.AssertServedToTheHandlersEnd([$"stored {total}"], $"{string.Concat(acknowledgements)}stored {total}\n");
    }

    // The peer is cut off in the middle. What matters is that nobody stores the part.
    [Theory]
    [MemberData(nameof(Handlers))]
    public async Task Stop_UploadThatNeverGoesOn_IsNotStoredAndThePeerIsReset(string handler)
    {
        var played = await Habit.CompareAsync(
            HandlerOf(handler),
            static async play =>
            {
                await play.Peer.SendAsync(new byte[5000]);
                await Pace.TakenAsync();
                await play.StopAsync();
                await play.Peer.EndedAsync();
            },
            new HabitSetup { StockPatience = TimeSpan.FromSeconds(2) });

        played.AssertCarriedAlike([], "");
        Assert.Equal((PeerSaw.Reset, PeerSaw.Reset), (played.Stock.End, played.Ours.End));
        Assert.True(played.Ours.IsReadCancelled, $"{played.Ours}");
    }

    private static Func<ConnectionContext, HabitPlay, Task> HandlerOf(string name) => name switch
    {
        "ReadAsync" => StoreHandlers.UntilEndAsync,
        "CopyToAsync" => StoreHandlers.CopyToStreamAsync,
        _ => StoreHandlers.CopyFromStreamAsync,
    };
}
