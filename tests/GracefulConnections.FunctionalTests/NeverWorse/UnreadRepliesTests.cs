using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// Peers that send, end their side, and go without their replies. What they sent is served to its end, whatever becomes
/// of the replies.
/// </summary>
public class UnreadRepliesTests
{
    private const int LineCount = 2000;
    private const string Received = "received";
    private const string Reset = "reset";
    private const string End = "end";

    // The reset comes behind FIN, and the first reply of the handler's finds it.
    [Theory]
    [InlineData("")]
    [InlineData(nameof(HabitWire.Unix))]
    [InlineData(nameof(TlsPlacement.Outside))]
    [InlineData(nameof(TlsPlacement.Inside))]
    public async Task PeerEndsAndIsGone_EverythingThatItSentIsServed(string kind)
    {
        var played = await Habit.CompareAsync(
            ServeAsync,
            async play =>
            {
                await SendAsync(play.Peer, string.Concat(Enumerable.Range(0, LineCount).Select(static i => $"{i}\n")));
                play.Peer.HalfClose();
                await play.NotedAsync(1);
                play.Peer.Socket.Close(0);
                play.Note(Reset);
                await play.Handled.InTimeAsync();
            },
            SetupFor(kind));

        played.Print();
        string[] expected =
        [
            Received, Reset,
            .. Enumerable.Range(0, LineCount).Select(static i => i.ToString(CultureInfo.InvariantCulture)), End,
        ];
        Assert.Equal(expected, played.Stock.Executed);
        Assert.Equal(expected, played.Ours.Executed);
        Assert.Null(played.Ours.Fault);
        Assert.Equal(CloseOutcome.PeerReset, played.Ours.Close!.Value.Outcome);
        Assert.Empty(played.Ours.Errors);
    }

    // No FIN came before the reset, so that a part may be missing: that is no end.
    [Theory]
    [InlineData("")]
    [InlineData(nameof(TlsPlacement.Inside))]
    public async Task PeerIsGoneWithoutItsEnd_ThatIsNoEnd(string kind)
    {
        var played = await Habit.CompareAsync(
            ServeAsync,
            async play =>
            {
                await SendAsync(play.Peer, "0\n");
                play.Peer.Socket.Close(0);
                await play.NotedAsync(1);
                play.Note(Reset);
                await play.Handled.InTimeAsync();
            },
            SetupFor(kind));

        played.Print();
        Assert.DoesNotContain(End, played.Stock.Executed);
        Assert.DoesNotContain(End, played.Ours.Executed);
        Assert.Equal(CloseOutcome.PeerReset, played.Ours.Close!.Value.Outcome);
    }

    // A timer flushes on a thread where nobody catches anything.
    [Fact]
    public async Task Flush_BehindTheHandlersReturn_IsNoError()
    {
        var outputs = new PipeWriter[2];
        var played = await Habit.CompareAsync(
            async (connection, play) =>
            {
                var output = outputs[play.IsStock ? 0 : 1] = connection.Transport.Output;
                await output.WriteAsync("reply"u8.ToArray());
            },
            async play =>
            {
                await play.Peer.EndedAsync();
                var output = outputs[play.IsStock ? 0 : 1];
                output.Advance(0);
                await Eventually.IsTrueAsync(() => IsOver(output)); // Stock knows a little later than its peer.
            });

        played.Print();
        Assert.Equal(("reply", "reply"), (played.Stock.Text, played.Ours.Text));

        static bool IsOver(PipeWriter output)
        {
            var flush = output.FlushAsync();
            Assert.True(flush.IsCompletedSuccessfully);
            return flush.Result.IsCompleted;
        }
    }

    // By lines, each answered before the next is read. Nothing looks whether the reply went out.
    private static async Task ServeAsync(ConnectionContext connection, HabitPlay play)
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using (connection.ConnectionClosed.Register(ended.SetResult))
        {
            await ended.Task.InTimeAsync();
        }

        play.Note(Received);
        await play.NotedAsync(2);
        using var reader = new StreamReader(connection.Transport.Input.AsStream());
        while (await reader.ReadLineAsync(CancellationToken.None) is { } line)
        {
            play.Note(line);
            await connection.Transport.Output.WriteAsync("ok\n"u8.ToArray());
        }

        play.Note(End);
    }

    private static async Task SendAsync(HabitPeer peer, string text)
    {
        if (peer.Tls is { } tls)
        {
            await tls.SendAsync(System.Text.Encoding.ASCII.GetBytes(text));
        }
        else
        {
            await peer.SendAsync(text);
        }
    }

    private static HabitSetup SetupFor(string kind) => kind switch
    {
        "" => new HabitSetup(),
        nameof(HabitWire.Unix) => new HabitSetup { Wire = HabitWire.Unix },
        _ => SetupForTls(kind),
    };

    private static HabitSetup SetupForTls(string tls) => new()
    {
        Before = tls == nameof(TlsPlacement.Inside) ? static endpoint => endpoint.UseHttps(TestCertificate.Server) : null,
        Behind = tls == nameof(TlsPlacement.Outside) ? static endpoint => endpoint.UseHttps(TestCertificate.Server) : null,
        Greet = HeldTls.GreetAsync,
        ReadsAtOnce = false,
    };
}
