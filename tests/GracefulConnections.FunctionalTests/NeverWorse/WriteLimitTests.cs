using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Hosting;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>A handler that counts on when a flush waits, which the application has chosen for the transport.</summary>
public class WriteLimitTests
{
    private const int ReplyBytes = 12_000_000; // More than both kernels hold.
    private const string Request = "!";

    // The peer sends all of its requests before it reads a reply.
    [Fact]
    public async Task NoLimit_PeerReadsNothingBeforeItHasSent_NobodyWaitsForEver()
    {
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                await connection.SendAsync(ReplyBytes);
                play.Note("written");
                await connection.ReadExactlyAsync(Request.Length);
            },
            static async play =>
            {
                await play.NotedAsync(1);
                await play.Peer.SendAsync(Request);
                play.Peer.StartReading();
                await play.Peer.EndedAsync();
            },
            new HabitSetup
            {
                Build = static builder => builder.WebHost.UseSockets(static sockets => sockets.MaxWriteBufferSize = null),
                ReadsAtOnce = false,
                Socket = static socket => socket.ReceiveBufferSize = 64 * 1024,
            });

        played.Print();
        Assert.Equal((ReplyBytes, PeerSaw.Eof), (played.Stock.Received.Length, played.Stock.End));
        Assert.Equal((ReplyBytes, PeerSaw.Eof), (played.Ours.Received.Length, played.Ours.End));
        Assert.Equal((CloseOutcome.Graceful, 0L), (played.Ours.Close!.Value.Outcome, played.Ours.Close.Value.UnacknowledgedBytes));
        Assert.Empty(played.Ours.Errors);
    }
}
