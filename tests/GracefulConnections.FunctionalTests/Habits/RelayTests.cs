using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Habits;

/// <summary>A host stops while a relay written by hand relays an upload: nobody may forge the peer's FIN.</summary>
public class RelayTests
{
    [Fact]
    public async Task Stop_UploadThatPauses_ArrivesWholeAtTheUpstream()
    {
        var played = await Habit.CompareAsync(
            RelayAsync, Scripts.Upload(5000, 10, Pace.HalfMessage, TimeSpan.FromMilliseconds(50)));

        played.AssertServedToTheHandlersEnd(["upstream 55000 Eof"], "got 55000\n");
    }

    // The upstream's reply comes 2.5 s after the request, which is longer than QuietTime.
    [Fact]
    public async Task Stop_UpstreamThatThinks_ItsReplyArrives()
    {
        var played = await Habit.CompareAsync(RelayAsync, static async play =>
        {
            await play.Peer.SendAsync("think");
            await play.NotedAsync(1);
            await play.StopAsync();
            await play.Peer.ReceivedAsync("thought\n".Length);
            play.Peer.HalfClose();
            await play.Peer.EndedAsync();
        });

        played.AssertServedToTheHandlersEnd(["thinks", "upstream 5 Eof"], "thought\ngot 5\n");
    }

    private static async Task RelayAsync(ConnectionContext connection, HabitPlay play)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var upstream = ServeUpstreamAsync(listener, play);
        using (var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
        {
            await socket.ConnectAsync(listener.LocalEndpoint);
            await using var stream = new NetworkStream(socket);
            await Task.WhenAll(UpAsync(socket, stream), stream.CopyToAsync(connection.Transport.Output.AsStream()));
        }

        await upstream;

        async Task UpAsync(Socket socket, NetworkStream stream)
        {
            await connection.Transport.Input.CopyToAsync(stream);
            socket.Shutdown(SocketShutdown.Send);
        }
    }

    private static async Task ServeUpstreamAsync(TcpListener listener, HabitPlay play)
    {
        using var socket = await listener.AcceptSocketAsync();
        var buffer = new byte[64 * 1024];
        long total = 0;
        var end = PeerSaw.Eof;
        try
        {
            while (await socket.ReceiveAsync(buffer) is > 0 and var count)
            {
                total += count;
                if (buffer.AsSpan(0, count).SequenceEqual("think"u8))
                {
                    play.Note("thinks");
                    await Pace.PauseAsync(TimeSpan.FromSeconds(2.5));
                    await socket.SendAsync("thought\n"u8.ToArray());
                }
            }
        }
        catch (SocketException)
        {
            end = PeerSaw.Reset;
        }

        play.Note(string.Create(CultureInfo.InvariantCulture, $"upstream {total} {end}"));
        if (end == PeerSaw.Eof)
        {
            var reply = string.Create(CultureInfo.InvariantCulture, $"got {total}\n");
            await socket.SendAsync(Encoding.ASCII.GetBytes(reply));
        }
    }
}
