using System.Net.Sockets;
using System.Text;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// Urgent bytes (MSG_OOB) among the others, each way. No read returns them, and none of them moves an outcome.
/// </summary>
public class UrgentDataTests
{
    [Fact]
    public async Task FromThePeer_WhileServed_ReachesNoHandler()
    {
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                var read = await connection.Transport.Input.ReadAtLeastAsync(4);
                play.Note(Encoding.ASCII.GetString(read.Buffer));
                connection.Transport.Input.AdvanceTo(read.Buffer.End);
                await connection.Transport.Output.WriteAsync("done"u8.ToArray());
            },
            static async play =>
            {
                await play.Peer.SendAsync("ab");
                await SendUrgentAsync(play.Peer.Socket);
                await play.Peer.SendAsync("cd");
                await play.Peer.EndedAsync();
                play.Peer.HalfClose();
            });

        played.AssertServedToTheHandlersEnd(["abcd"], "done");
        Assert.Equal(0, played.Ours.Close!.Value.DiscardedBytes);
    }

    // Stock is gone by then, and resets.
    [Fact]
    public async Task FromThePeer_WhileLingering_IsNoByteOfThePeersAndNoEnd()
    {
        const string late = "too late";
        var played = await Habit.CompareAsync(
            static (connection, _) => connection.Transport.Output.WriteAsync("done"u8.ToArray()).AsTask(),
            static async play =>
            {
                await play.Peer.EndedAsync();
                if (!play.IsStock)
                {
                    await SendUrgentAsync(play.Peer.Socket);
                    await play.Peer.SendAsync(late);
                    play.Peer.HalfClose();
                }
            });

        played.AssertServedToTheHandlersEnd([], "done");
        Assert.Equal(late.Length, played.Ours.Close!.Value.DiscardedBytes);
    }

    // Both have sent FIN, so the connection is over. An urgent byte in what the handler has not read is no error of it.
    [Fact]
    public async Task FromThePeer_HalfOpenAndBothHaveEnded_IsNoReset()
    {
        const int uploadBytes = 1_100_000; // More than Kestrel reads ahead, and the kernel holds the rest.
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                await connection.Transport.Output.WriteAsync("done"u8.ToArray());
                await connection.Transport.Output.CompleteAsync();
                await Pace.PauseAsync(TimeSpan.FromSeconds(2.5)); // A reset would be noticed within a second.
                play.Note($"{await connection.ReadToEndAsync()}");
            },
            static async play =>
            {
                await play.Peer.ReceivedAsync(4);
                await play.Peer.SendAsync(new byte[uploadBytes]);
                await SendUrgentAsync(play.Peer.Socket);
                play.Peer.HalfClose();
                await play.Peer.EndedAsync();
            },
            new HabitSetup
            {
                Options = static options => options.AllowHalfOpen = true,
                StockHandler = static async (connection, play) => // To complete the output is the end there.
                {
                    await connection.Transport.Output.WriteAsync("done"u8.ToArray());
                    play.Note($"{await connection.ReadToEndAsync()}");
                },
            });

        played.AssertServedToTheHandlersEnd([$"{uploadBytes}"], "done");
    }

    // No writer sends such a byte, only the socket itself does: for the library it is one that somebody else has sent.
    [Fact]
    public async Task FromTheHandler_ByItsSocket_MovesNoOtherByte()
    {
        var played = await Habit.CompareAsync(
            static async (connection, _) =>
            {
                await connection.Transport.Output.WriteAsync("ab"u8.ToArray());
                await connection.ReadExactlyAsync(1); // What the writer has sent is at the peer: nothing else orders the two.
                await SendUrgentAsync(connection.Features.Get<IConnectionSocketFeature>()!.Socket);
                await connection.Transport.Output.WriteAsync("cd"u8.ToArray());
            },
            static async play =>
            {
                await play.Peer.ReceivedAsync(2);
                await play.Peer.SendAsync("!");
                await play.Peer.EndedAsync();
                play.Peer.HalfClose();
            });

        played.AssertServedToTheHandlersEnd([], "abcd");
    }

    private static async Task SendUrgentAsync(Socket socket) =>
        Assert.Equal(1, await socket.SendAsync("!"u8.ToArray(), SocketFlags.OutOfBand).InTimeAsync());
}
