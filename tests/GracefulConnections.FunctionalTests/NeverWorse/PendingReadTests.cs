using System.Text;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using GracefulConnections.FunctionalTests.Tls;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// Handlers that do not await a read of theirs: they return while it is pending, so that nobody is there to look at its
/// exception, or they ask for it again until it has completed.
/// </summary>
[Collection(SerialTests.Name)]
public class PendingReadTests
{
    private const string Line = "bye\n";

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task WhenAny_ReadIsPendingAtTheReturn_NothingIsUnobserved(bool isStock)
    {
        const int count = 20;
        using var unobserved = new UnobservedFaults();
        using var log = new CapturedLog();
        await using (var server = await Habit.StartAsync(
            new HabitPlay(isStock), static (connection, _) => EitherAsync(connection), new HabitSetup(), log))
        {
            for (var i = 0; i < count; i++)
            {
                await using var peer = await HabitPeer.ConnectAsync(server.EndPoint);
                peer.StartReading();
                await peer.EndedAsync();
                Assert.Equal((Line.Length, PeerSaw.Eof), (peer.Received.Length, peer.End));
            }

            await server.StopAsync();
        }

        Assert.Empty(unobserved.Faults);
    }

    // A pipe waits for more then, and the reader of a stream returns what there is.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task ReadAtLeast_CancelledBehindAPart_TheNextReadIsAsOnStock(bool isTls)
    {
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                var input = connection.Transport.Input;
                var part = await input.ReadAsync();
                input.AdvanceTo(part.Buffer.Start);
                using var patience = new CancellationTokenSource();
                var reading = input.ReadAtLeastAsync(100, patience.Token).AsTask();
                await patience.CancelAsync();
                await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading.InTimeAsync());
                var next = input.ReadAsync().AsTask();
                play.Note($"{next.IsCompleted}");
                var read = await next.InTimeAsync();
                play.Note(Encoding.ASCII.GetString(read.Buffer));
                input.AdvanceTo(read.Buffer.End);
            },
            async play =>
            {
                await SendAsync("part");
                await play.NotedAsync(1);
                if (!isTls)
                {
                    await SendAsync(" and rest");
                }

                await play.Peer.EndedAsync();

                Task SendAsync(string text) => play.Peer.Tls is { } tls
                    ? tls.SendAsync(Encoding.ASCII.GetBytes(text))
                    : play.Peer.SendAsync(text);
            },
            isTls
                ? new HabitSetup
                {
                    Before = static endpoint => endpoint.UseHttps(TestCertificate.Server),
                    Greet = HeldTls.GreetAsync,
                    ReadsAtOnce = false,
                }
                : null);

        played.AssertCarriedAlike(isTls ? ["True", "part"] : ["False", "part and rest"], string.Empty);
    }

    [Fact]
    public async Task Poll_ReadIsAskedForUntilItHasCompleted_IsServed()
    {
        var played = await Habit.CompareAsync(
            PollAsync,
            static async play =>
            {
                await play.Peer.SendAsync("a");
                await play.NotedAsync(1);
                await Pace.PauseAsync(TimeSpan.FromMilliseconds(100)); // The handler asks several times.
                await play.Peer.SendAsync("b");
                await play.NotedAsync(2);
                play.Peer.HalfClose();
                await play.Peer.EndedAsync();
            });

        played.AssertServedToTheHandlersEnd(["a", "b"], Line);
    }

    private static async Task PollAsync(ConnectionContext connection, HabitPlay play)
    {
        var input = connection.Transport.Input;
        while (true)
        {
            var reading = input.ReadAsync();
            while (!reading.IsCompleted)
            {
                await Pace.PauseAsync(TimeSpan.FromMilliseconds(10));
                reading = input.ReadAsync();
            }

            var read = await reading;
            if (read.Buffer.IsEmpty && read.IsCompleted)
            {
                await connection.Transport.Output.WriteAsync("bye\n"u8.ToArray());
                return;
            }

            play.Note(Encoding.ASCII.GetString(read.Buffer));
            input.AdvanceTo(read.Buffer.End);
        }
    }

    private static Task<Task> EitherAsync(ConnectionContext connection)
    {
        return Task.WhenAny(ReadAsync(), WriteAsync());

        async Task ReadAsync()
        {
            while (await connection.Transport.Input.ReadAsync() is { IsCompleted: false } read)
            {
                connection.Transport.Input.AdvanceTo(read.Buffer.End);
            }
        }

        async Task WriteAsync()
        {
            await connection.Transport.Output.WriteAsync("bye\n"u8.ToArray());
            await Pace.PauseAsync(TimeSpan.FromMilliseconds(20));
        }
    }
}
