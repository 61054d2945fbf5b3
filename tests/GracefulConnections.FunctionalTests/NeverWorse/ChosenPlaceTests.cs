using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>Middlewares before <c>UseGracefulShutdown()</c> that choose where the handler runs. The server has a drain.</summary>
public class ChosenPlaceTests
{
    private const string Place = "the middleware's own";

    [Theory]
    [InlineData("thread")]
    [InlineData("scheduler")]
    [InlineData("context")]
    public async Task Handler_StartsInThePlaceThatWasChosen(string place)
    {
        var scheduler = new ConcurrentExclusiveSchedulerPair().ExclusiveScheduler;
        var played = await Habit.CompareAsync(
            (connection, play) =>
            {
                play.Note($"{IsThere()}");
                return ReplyAsync(connection, () => GoOn(play));
            },
            static async play =>
            {
                await play.NotedAsync(1);
                await play.Peer.SendAsync("x"u8.ToArray());
                await play.Peer.EndedAsync();
            },
            new HabitSetup
            {
                Before = endpoint => endpoint.Use(next => place switch
                {
                    "thread" => connection => OnThreadAsync(() => next(connection).GetAwaiter().GetResult()),
                    "scheduler" => connection => Task.Factory.StartNew(
                        () => next(connection), CancellationToken.None, TaskCreationOptions.None, scheduler).Unwrap(),
                    _ => connection => OnThreadAsync(
                        () => OneThreadContext.Run(() => next(connection)), name: null),
                }),
            });

        played.AssertCarriedAlike(place == "thread" ? ["True"] : ["True", "True"], "ok");

        // Behind its first await any thread may go on, but a scheduler and a context take what is awaited.
        void GoOn(HabitPlay play)
        {
            if (place != "thread")
            {
                play.Note($"{IsThere()}");
            }
        }

        bool IsThere() => place switch
        {
            "thread" => Thread.CurrentThread.Name == Place,
            "scheduler" => TaskScheduler.Current == scheduler,
            _ => SynchronizationContext.Current is OneThreadContext,
        };
    }

    // A thread that is blocked holds nobody but itself, and not the host, as on stock.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task HandlerBlocksItsOwnThread_Stop_TheHostStops(bool isReading)
    {
        using var free = new ManualResetEventSlim();
        using var bothStopped = new CountdownEvent(2);
        var played = await Habit.CompareAsync(
            (connection, play) =>
            {
                play.Note("serves");
                if (isReading)
                {
                    connection.Transport.Input.AsStream().ReadExactly(new byte[1]);
                }
                else
                {
                    Assert.True(free.Wait(TestServer.TestLimit));
                }

                return Task.CompletedTask;
            },
            async play =>
            {
                await play.NotedAsync(1);
                await play.Server.StopAsync().InTimeAsync();
                play.Note("stopped");
                if (bothStopped.Signal())
                {
                    free.Set();
                }

                await play.Peer.EndedAsync();
            },
            new HabitSetup
            {
                // Where the read is cancelled nothing else ends the connection.
                Patience = isReading ? TestServer.TestLimit : TimeSpan.FromSeconds(1),
                StockPatience = TimeSpan.FromSeconds(1),
                Build = isReading ? null : static builder => builder.Services.Configure<HostOptions>(
                    static options => options.ShutdownTimeout = TimeSpan.FromSeconds(4)),
                Before = static endpoint => endpoint.Use(static next => connection =>
                    OnThreadAsync(() => next(connection).GetAwaiter().GetResult())),
            });

        played.Print();
        Assert.Equal(["serves", "stopped"], played.Stock.Executed);
        Assert.Equal(["serves", "stopped"], played.Ours.Executed);
        Assert.Equal(PeerSaw.Reset, played.Stock.End);
        Assert.Equal(isReading ? PeerSaw.Eof : PeerSaw.Reset, played.Ours.End); // A read is cancelled.
    }

    private static async Task ReplyAsync(ConnectionContext connection, Action goOn)
    {
        await connection.ReadExactlyAsync(1);
        goOn();
        await connection.Transport.Output.WriteAsync("ok"u8.ToArray());
    }

    private static Task OnThreadAsync(Action run, string? name = Place)
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            try
            {
                run();
                ended.SetResult();
            }
            catch (Exception exception)
            {
                ended.SetException(exception);
            }
        })
        {
            IsBackground = true,
            Name = name,
        };
        thread.Start();
        return ended.Task;
    }
}
