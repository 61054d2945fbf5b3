using GracefulConnections.FunctionalTests.Habits.Support;

namespace GracefulConnections.FunctionalTests.Habits;

/// <summary>A host stops while a handler writes beside its own read, or without any.</summary>
public class DuplexTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Stop_ServerPush_IsSentToItsEnd(bool reads)
    {
        var played = await Habit.CompareAsync(
            reads ? DuplexHandlers.PushAndReadAsync : DuplexHandlers.PushAsync,
            static async play =>
            {
                await play.Peer.ReceivedAsync("tick 0\n".Length);
                await play.StopAsync();
                await play.Peer.EndedAsync();
            });

        played.AssertServedToTheHandlersEnd(["pushed"], DuplexHandlers.AllTicks);
    }

    [Fact]
    public async Task Stop_OneReplyIsFlushedWhileAnotherIsComputed_BothArrive()
    {
        var played = await Habit.CompareAsync(
            DuplexHandlers.JobsAsync,
            static async play =>
            {
                await play.Peer.SendAsync("slow\nquick\n");
                await play.Peer.ReceivedAsync("done quick\n".Length);
                await play.StopAsync();
                await play.LetGoAsync("done quick\ndone slow\n".Length);
            });

        played.AssertServedThenLetGo(["quick", "slow"], "done quick\ndone slow\n");
    }

    [Theory]
    [InlineData(20, 0.1)]
    [InlineData(4, 1.5)] // Longer than QuietTime: it is known to be duplex.
    public async Task Stop_DownloadBesideAPendingRead_IsSentToItsEnd(int pieceCount, double pause)
    {
        var total = pieceCount * DuplexHandlers.DownloadPieceBytes;
        var silence = TimeSpan.FromSeconds(pause);
        var played = await Habit.CompareAsync(
            (connection, play) => DuplexHandlers.DownloadAsync(connection, play, pieceCount, silence),
            async play =>
            {
                await play.Peer.SendAsync("file\n");
                await play.Peer.ReceivedAsync(DuplexHandlers.DownloadPieceBytes);
                await play.StopAsync();
                await play.LetGoAsync(total);
            });

        played.AssertServedThenLetGo(["sent file"], new string(DuplexHandlers.DownloadByte, total));
    }
}
