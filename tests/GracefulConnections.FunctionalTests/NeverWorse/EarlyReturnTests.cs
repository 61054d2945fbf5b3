using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// Middlewares before <c>UseGracefulShutdown()</c> that return while the handler runs, for example at a limit of time.
/// The server disposes the connection then.
/// </summary>
public class EarlyReturnTests
{
    private const string Written = "written";
    private const int WrittenBytes = 12_000_000; // More than the kernels on both sides take.

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Return_HandlerHasWritten_AllOfItArrives(bool throws)
    {
        using var bothWrote = new CountdownEvent(2);
        var limit = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                var closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                connection.ConnectionClosed.UnsafeRegister(static closed => ((TaskCompletionSource)closed!).SetResult(), closed);
                _ = connection.Transport.Output.WriteAsync(new byte[WrittenBytes]).AsTask(); // It waits for the peer.
                play.Note(Written);
                await closed.Task.InTimeAsync();
                try
                {
                    await connection.Transport.Output.WriteAsync("late"u8.ToArray());
                    play.Note("written late");
                }
                catch (InvalidOperationException)
                {
                    play.Note("refused");
                }
            },
            async play =>
            {
                await play.NotedAsync(1);
                if (bothWrote.Signal())
                {
                    limit.SetResult();
                }

                await limit.Task.InTimeAsync();
                await Pace.PauseAsync(Pace.HalfMessage);
                play.Peer.StartReading();
                await play.Peer.EndedAsync();
                play.Peer.HalfClose();
                if (!play.IsStock)
                {
                    await play.Graceful!.Closed.InTimeAsync();
                    await Eventually.IsTrueAsync(() => play.Server.Drain.ConnectionCount == 0);
                }
            },
            new HabitSetup
            {
                ReadsAtOnce = false,
                Before = endpoint => endpoint.Use(next => async connection =>
                {
                    await Task.WhenAny(next(connection), limit.Task);
                    if (throws)
                    {
                        throw new TimeoutException("The middleware's own.");
                    }
                }),
            });

        played.Print();
        foreach (var result in (HabitResult[])[played.Stock, played.Ours])
        {
            Assert.Equal((WrittenBytes, PeerSaw.Eof), (result.Received.Length, result.End));
            Assert.Equal([Written, "refused"], result.Executed);
            Assert.Equal(throws ? 1 : 0, result.Errors.Count);
        }

        Assert.Equal(
            (CloseReason.HandlerCompleted, CloseOutcome.Graceful, 0L),
            (played.Ours.Close!.Value.Reason, played.Ours.Close.Value.Outcome, played.Ours.Close.Value.UnacknowledgedBytes));
    }

    // A handler that never ends must not hold the connection in the drain's list, or the host that stops.
    [Fact]
    public async Task Return_HandlerGoesOnForEver_TheHostStops()
    {
        var free = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var played = await Habit.CompareAsync(
            async (connection, play) =>
            {
                await connection.Transport.Output.WriteAsync("hello\r\n"u8.ToArray());
                play.Note("serves");
                await free.Task;
            },
            async play =>
            {
                await play.Peer.EndedAsync();
                play.Peer.HalfClose();
                await play.Server.StopAsync().InTimeAsync();
                play.Note("stopped");
                if (!play.IsStock)
                {
                    free.SetResult();
                }
            },
            new HabitSetup
            {
                Patience = 2 * TestServer.TestLimit,
                Before = static endpoint => endpoint.Use(static next => connection =>
                {
                    _ = next(connection);
                    return Task.CompletedTask;
                }),
            });

        played.AssertCarriedAlike(["serves", "stopped"], "hello\r\n");
        Assert.Equal((PeerSaw.Eof, PeerSaw.Eof), (played.Stock.End, played.Ours.End));
    }

    // The close that has begun by the handler's return goes on when the middleware does not wait for it.
    [Fact]
    public async Task Return_HandlerReturnedBefore_AllOfItArrives()
    {
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                await Task.Yield();
                _ = connection.Transport.Output.WriteAsync(new byte[WrittenBytes]).AsTask();
                ((TaskCompletionSource)connection.Items[Written]!).SetResult(); // Stock refuses a write behind the end.
            },
            static async play =>
            {
                await play.Handled.InTimeAsync();
                await Pace.PauseAsync(Pace.HalfMessage);
                play.Peer.StartReading();
                await play.Peer.EndedAsync();
                play.Peer.HalfClose();
            },
            new HabitSetup
            {
                ReadsAtOnce = false,
                Before = static endpoint => endpoint.Use(static next => async connection =>
                {
                    var written = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                    connection.Items[Written] = written;
                    _ = next(connection);
                    await written.Task.InTimeAsync();
                    await Pace.TakenAsync();
                }),
            });

        played.Print();
        foreach (var result in (HabitResult[])[played.Stock, played.Ours])
        {
            Assert.Equal((WrittenBytes, PeerSaw.Eof), (result.Received.Length, result.End));
            Assert.Empty(result.Errors);
        }

        Assert.Equal((CloseOutcome.Graceful, 0L), (played.Ours.Close!.Value.Outcome, played.Ours.Close.Value.UnacknowledgedBytes));
    }

    // Stock loses there what is not in the kernel.
    [Theory]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Both)]
    public async Task Return_BeforeTls_AllOfItArrivesAndCloseNotify(TlsPlacement placement)
    {
        var written = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var free = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await TestServer.StartTlsAsync(
            placement,
            connection =>
            {
                _ = connection.Transport.Output.WriteAsync(new byte[WrittenBytes]).AsTask();
                written.SetResult();
                return free.Task;
            },
            build: builder => builder.WebHost.ConfigureKestrel(kestrel =>
                kestrel.ConfigureEndpointDefaults(endpoint => endpoint.Use(next => async connection =>
                {
                    _ = next(connection);
                    await written.Task.InTimeAsync();
                }))));
        await using var peer = await TlsPeer.ConnectAsync(server);
        await written.Task.InTimeAsync();
        await Pace.PauseAsync(Pace.HalfMessage);

        Assert.Equal((WrittenBytes, TlsPeerSaw.CloseNotify), await peer.ReadToEndAsync());
        peer.Tcp.HalfClose();

        var result = await server.NextResultAsync();
        Assert.Equal((CloseOutcome.Graceful, 0L), (result.Outcome, result.UnacknowledgedBytes));
        free.SetResult();
    }
}
