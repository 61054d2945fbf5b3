using System.Net;
using System.Text;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// Middlewares before <c>UseGracefulShutdown()</c> that do something when the handler has returned. The connection is still open then, as on stock.
/// </summary>
public class LateMiddlewareTests
{
    private const int ReplyBytes = 1_500_000;
    private const string Line = "hello\r\n";

    [Theory]
    [InlineData(false, 10)]
    [InlineData(true, 10)]
    [InlineData(false, ReplyBytes)]
    [InlineData(true, ReplyBytes)]
    public async Task Trailer_WhenTheHandlerHasReturned_Arrives(bool keepsTheWriter, int replyBytes)
    {
        var played = await Habit.CompareAsync(
            (connection, _) => connection.SendAsync(replyBytes),
            static async play =>
            {
                await Pace.PauseAsync(TimeSpan.FromMilliseconds(100)); // A large reply is not sent by then.
                play.Peer.StartReading();
                await play.Peer.EndedAsync();
                play.Peer.HalfClose();
            },
            new HabitSetup
            {
                ReadsAtOnce = false,
                Before = endpoint => endpoint.Use(next => async connection =>
                {
                    var output = connection.Transport.Output;
                    await next(connection);
                    output = keepsTheWriter ? output : connection.Transport.Output;
                    await output.WriteAsync(Encoding.ASCII.GetBytes(Line));
                }),
            });

        played.Print();
        foreach (var result in (HabitResult[])[played.Stock, played.Ours])
        {
            Assert.Equal((replyBytes + Line.Length, PeerSaw.Eof), (result.Received.Length, result.End));
            Assert.Equal(Line, Encoding.ASCII.GetString(result.Received[replyBytes..]));
            Assert.Empty(result.Errors);
        }

        Assert.Equal((CloseOutcome.Graceful, 0L), (played.Ours.Close!.Value.Outcome, played.Ours.Close.Value.UnacknowledgedBytes));
    }

    [Fact]
    public async Task Apology_WhenTheHandlerThrew_Arrives()
    {
        var played = await Habit.CompareAsync(
            static async (connection, _) =>
            {
                await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(Line));
                throw new FormatException("The handler's own.");
            },
            static play => play.Peer.EndedAsync(),
            new HabitSetup
            {
                Before = static endpoint => endpoint.Use(next => async connection =>
                {
                    try
                    {
                        await next(connection);
                    }
                    catch (FormatException)
                    {
                        await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes("sorry\r\n"));
                    }
                }),
            });

        played.AssertCarriedAlike([], $"{Line}sorry\r\n");
        Assert.Equal((PeerSaw.Eof, PeerSaw.Eof), (played.Stock.End, played.Ours.End));
    }

    [Fact]
    public async Task Rest_WhenTheHandlerHasReturned_IsRead()
    {
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                await connection.ReadExactlyAsync(1);
                play.Note("handler");
            },
            static async play =>
            {
                await play.Peer.SendAsync("x"u8.ToArray());
                await play.Handled.InTimeAsync();
                await play.Peer.SendAsync("the rest"u8.ToArray());
                play.Peer.HalfClose();
                await play.Peer.EndedAsync();
            },
            new HabitSetup
            {
                Before = static endpoint => endpoint.Use(next => async connection =>
                {
                    await next(connection);
                    await connection.Transport.Input.CopyToAsync(connection.Transport.Output);
                }),
            });

        played.AssertCarriedAlike(["handler"], "the rest");
        Assert.Equal((PeerSaw.Eof, PeerSaw.Eof), (played.Stock.End, played.Ours.End));
    }

    [Fact]
    public async Task Abort_WhenTheHandlerHasReturned_Resets()
    {
        var played = await Habit.CompareAsync(
            static (connection, _) => connection.ReadExactlyAsync(1),
            static async play =>
            {
                await play.Peer.SendAsync("x"u8.ToArray());
                await play.Peer.EndedAsync();
            },
            new HabitSetup
            {
                Before = static endpoint => endpoint.Use(next => async connection =>
                {
                    await next(connection);
                    connection.Abort(new ConnectionAbortedException("The middleware's own."));
                }),
            });

        played.Print();
        Assert.Equal((PeerSaw.Reset, PeerSaw.Reset), (played.Stock.End, played.Ours.End));
        Assert.Equal(CloseOutcome.Aborted, played.Ours.Close!.Value.Outcome);
    }

    [Fact]
    public async Task Stop_WhileTheMiddlewareGoesOn_ItFinishes()
    {
        using var bothStop = new CountdownEvent(2);
        var goesOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var played = await Habit.CompareAsync(
            static (connection, _) => connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(Line)).AsTask(),
            async play =>
            {
                await play.Handled.InTimeAsync();
                await play.StopAsync();
                if (bothStop.Signal())
                {
                    goesOn.SetResult();
                }

                await play.Peer.EndedAsync();
                play.Peer.HalfClose();
            },
            new HabitSetup
            {
                Before = endpoint => endpoint.Use(next => async connection =>
                {
                    await next(connection);
                    await goesOn.Task.InTimeAsync();
                    await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(Line));
                }),
            });

        played.AssertCarriedAlike([], $"{Line}{Line}");
        Assert.Equal((PeerSaw.Eof, PeerSaw.Eof), (played.Stock.End, played.Ours.End));
    }

    // Stock's pipe is one, so what the handler has not flushed comes before the trailer there.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Trailer_HandlerHasNotFlushed_ComesBehindItsBytes(bool keepsTheWriter)
    {
        var played = await Habit.CompareAsync(
            static (connection, _) =>
            {
                Encoding.ASCII.GetBytes(Line, connection.Transport.Output.GetSpan(Line.Length));
                connection.Transport.Output.Advance(Line.Length);
                return Task.CompletedTask;
            },
            static play => play.Peer.EndedAsync(),
            new HabitSetup
            {
                Before = endpoint => endpoint.Use(next => async connection =>
                {
                    var output = connection.Transport.Output;
                    await next(connection);
                    output = keepsTheWriter ? output : connection.Transport.Output;
                    await output.WriteAsync(Encoding.ASCII.GetBytes("trailer\r\n"));
                }),
            });

        played.AssertCarriedAlike([], $"{Line}trailer\r\n");
        Assert.Equal((PeerSaw.Eof, PeerSaw.Eof), (played.Stock.End, played.Ours.End));
    }

    // Nobody knows then when the close would come, and the connection must not stay in the drain's list for ever.
    [Fact]
    public async Task Next_IsNotWaitedFor_TheConnectionIsNotKept()
    {
        var mayReturn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var returned = new TaskCompletionSource<Task>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (_, endpoint) => endpoint
                .Use(next => connection =>
                {
                    var running = next(connection);
                    connection.Features.Get<IConnectionCompleteFeature>()!.OnCompleted(
                        _ =>
                        {
                            mayReturn.SetResult(); // Nobody is called back any more who comes now.
                            return running;
                        },
                        this);
                    returned.SetResult(running);
                    return Task.CompletedTask;
                })
                .UseGracefulShutdown()
                .Run(_ => mayReturn.Task.InTimeAsync()),
            static builder => TestServer.AddPatientDrain(builder));
        await using var peer = await server.ConnectAsync();
        peer.HalfClose();

        await (await returned.Task.InTimeAsync()).InTimeAsync();

        Assert.Equal(0, server.Drain.ConnectionCount);
    }

    // Stock waits for such a peer without a limit.
    [Fact]
    public async Task Trailer_PeerTakesNothing_IsGivenUpAtFlushStallTimeout()
    {
        await using var server = await TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (server, endpoint) => endpoint
                .Use(next => async connection =>
                {
                    var output = connection.Transport.Output;
                    await next(connection);
                    _ = output.WriteAsync(new byte[12_000_000]).AsTask(); // More than both kernels hold.
                })
                .UseGracefulShutdown(static options => options.FlushStallTimeout = TimeSpan.FromSeconds(1))
                .Use(server.ObserveResults)
                .Run(static _ => Task.CompletedTask));
        await using var peer = await server.ConnectAsync();

        Assert.Equal(CloseOutcome.Aborted, (await server.NextResultAsync()).Outcome);
        Assert.Equal(PeerSaw.Reset, (await peer.ReadToEndAsync()).End);
    }

    [Theory]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task Tls_BehindTheMiddleware_EndsAsWithoutIt(TlsPlacement placement)
    {
        var hasReturned = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await TestServer.StartTlsAsync(
            placement,
            static connection => connection.SendAsync(ReplyBytes),
            build: builder => builder.WebHost.ConfigureKestrel(kestrel => kestrel.ConfigureEndpointDefaults(endpoint => endpoint.Use(next => async connection =>
            {
                await next(connection);
                hasReturned.SetResult();
            }))));
        await using var peer = await TlsPeer.ConnectAsync(server);

        Assert.Equal((ReplyBytes, placement == TlsPlacement.Both ? TlsPeerSaw.CloseNotify : TlsPeerSaw.Eof), await peer.ReadToEndAsync());
        await hasReturned.Task.InTimeAsync();
        peer.Tcp.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
    }
}
