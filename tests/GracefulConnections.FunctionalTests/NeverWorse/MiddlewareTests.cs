using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Text;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>Middlewares before <c>UseGracefulShutdown()</c> that stock Kestrel bears.</summary>
public class MiddlewareTests
{
    private const int ReplyBytes = 1_500_000;
    private const string Banner = "220 ready\r\n";
    private const string Line = "hello\r\n";
    private const int WrittenBefore = 27;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Banner_BeforeTheHandlersLine_ArrivesInOrder(bool isStock)
    {
        const int count = 100;
        using var log = new CapturedLog();
        await using var server = await Habit.StartAsync(
            new HabitPlay(isStock),
            static (connection, _) => connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(Line)).AsTask(),
            new HabitSetup
            {
                Before = static endpoint => endpoint.Use(next => async connection =>
                {
                    await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(Banner));
                    await next(connection);
                }),
            },
            log);
        var seen = new List<(string, PeerSaw?)>();
        for (var i = 0; i < count; i++)
        {
            await using var peer = await HabitPeer.ConnectAsync(server.EndPoint);
            peer.StartReading();
            await peer.EndedAsync();
            seen.Add((Encoding.ASCII.GetString(peer.Received), peer.End));
        }

        Assert.Equal([($"{Banner}{Line}", PeerSaw.Eof)], seen.Distinct());
    }

    // The middleware writes behind our start, and most of it waits in the server's pipe when the handler writes.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task LongBanner_WhileTheHandlerRuns_ArrivesInOrder(bool isStock)
    {
        const int bannerBytes = 8_000_000; // More than the kernels on both sides take.
        var serves = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var replies = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var log = new CapturedLog();
        await using var server = await Habit.StartAsync(
            new HabitPlay(isStock),
            async (connection, _) =>
            {
                serves.SetResult();
                await replies.Task.InTimeAsync();
                await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(Line));
            },
            new HabitSetup
            {
                Before = endpoint => endpoint.Use(next => async connection =>
                {
                    var output = connection.Transport.Output;
                    var serving = next(connection);
                    await serves.Task.InTimeAsync();
                    var flush = output.WriteAsync(new byte[bannerBytes]);
                    Assert.False(flush.IsCompleted); // A pipe allows one to be awaited at a time: the handler awaits its own.
                    await serving;
                }),
            },
            log);
        await using var peer = await HabitPeer.ConnectAsync(server.EndPoint);
        await peer.Socket.ReceiveAsync(new byte[1]).InTimeAsync(); // The server has begun to send.

        replies.SetResult();

        peer.StartReading();
        await peer.EndedAsync();
        Assert.Equal((bannerBytes - 1 + Line.Length, PeerSaw.Eof), (peer.Received.Length, peer.End));
        Assert.Equal(Line, Encoding.ASCII.GetString(peer.Received, bannerBytes - 1, Line.Length));
        Assert.Equal(isStock ? 0 : 1, log.Entries.Count(static entry => entry is { Category: "GracefulConnections", EventId: WrittenBefore }));
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)] // Stock loses most of it to an upload, which is no measure.
    [InlineData(false, true)]
    public async Task WrappedInputOnly_LargeReply_ArrivesWhole(bool isBefore, bool isUploading)
    {
        var played = await Habit.CompareAsync(
            static (connection, _) => connection.SendAsync(ReplyBytes),
            async play =>
            {
                var reading = ReadLateAsync(play.Peer);
                for (var i = 0; isUploading && i < 40 && await play.Peer.SendAsync(new byte[64 * 1024]); i++)
                {
                    await Pace.PauseAsync(TimeSpan.FromMilliseconds(10));
                }

                play.Peer.HalfClose();
                await reading;
            },
            new HabitSetup
            {
                ReadsAtOnce = false,
                Before = isBefore ? WrapInput : null,
                Behind = isBefore ? null : WrapInput,
            });

        played.Print();
        if (!isUploading)
        {
            Assert.Equal((ReplyBytes, PeerSaw.Eof), (played.Stock.Received.Length, played.Stock.End));
            Assert.Equal(PeerSaw.Eof, played.Ours.End);
        }

        Assert.Equal(ReplyBytes, played.Ours.Received.Length);
        Assert.Empty(played.Ours.Errors);

        static void WrapInput(ListenOptions endpoint) => Wrap(endpoint, static inner => new TokenlessStream(inner));

        static async Task ReadLateAsync(HabitPeer peer)
        {
            await Pace.PauseAsync(TimeSpan.FromMilliseconds(100));
            peer.StartReading();
            await peer.EndedAsync();
        }
    }

    // As many do. The close must end all the same, and the peer see the reply and the end.
    [Fact]
    public async Task StreamThatIgnoresItsToken_HandlerReturns_TheCloseEnds()
    {
        var played = await Habit.CompareAsync(
            static async (connection, _) =>
            {
                await connection.ReadExactlyAsync(1);
                await connection.SendAsync(1);
            },
            static async play =>
            {
                await play.Peer.SendAsync("x");
                await play.Peer.EndedAsync(); // It waits for the server's end, and only then goes.
            },
            new HabitSetup
            {
                Before = static endpoint =>
                    Wrap(endpoint, static inner => new TokenlessStream(inner), isBothWays: true),
                Options = static options =>
                {
                    options.CloseTimeout = TimeSpan.FromSeconds(2);
                    options.FlushStallTimeout = TimeSpan.FromSeconds(2);
                },
            });

        played.Print();
        Assert.Equal((1, 1), (played.Stock.Received.Length, played.Ours.Received.Length));
        Assert.Equal((PeerSaw.Eof, PeerSaw.Eof), (played.Stock.End, played.Ours.End));
    }

    // The thread of one that blocks is lost until somebody frees it. The host must not be.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task StreamThatIgnoresItsToken_Stop_TheHostStops(bool isBlocking)
    {
        using var free = new ManualResetEventSlim();
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                await Task.Yield();
                play.Note("reads");
                await connection.Transport.Input.ReadAsync();
            },
            async play =>
            {
                await play.NotedAsync(1);
                await Pace.TakenAsync();
                try
                {
                    await play.StopAsync();
                    await play.Stopping.InTimeAsync();
                    play.Note("stopped");
                }
                finally
                {
                    if (!play.IsStock)
                    {
                        await Pace.PauseAsync(TimeSpan.FromSeconds(2)); // Stock has stopped by then too.
                        free.Set();
                    }
                }
            },
            new HabitSetup
            {
                Patience = TimeSpan.FromSeconds(2),
                Before = endpoint => Wrap(
                    endpoint, inner => isBlocking ? new BlockingStream(inner, free) : new TokenlessStream(inner)),
            });

        played.Print();
        Assert.Equal(["reads", "stopped"], played.Stock.Executed);
        Assert.Equal(["reads", "stopped"], played.Ours.Executed);
    }

    // A middleware may learn by it that the handler reads no more, and why.
    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(false, true)]
    public async Task InputCompletedByTheHandler_TheMiddlewareIsToldOnce(bool isStock, bool isReadPending)
    {
        var completions = new ConcurrentQueue<Exception?>();
        var reason = new InvalidTimeZoneException("The handler's own.");
        using var log = new CapturedLog();
        await using var server = await Habit.StartAsync(
            new HabitPlay(isStock),
            async (connection, play) =>
            {
                var input = connection.Transport.Input;
                var read = await input.ReadAsync();
                if (isReadPending)
                {
                    input.AdvanceTo(read.Buffer.End);
                    _ = input.ReadAsync().AsTask();
                }

                input.Complete(reason);
                await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(Line));
            },
            new HabitSetup
            {
                Before = endpoint => endpoint.Use(next => async connection =>
                {
                    var transport = connection.Transport;
                    var input = new NotingReader(transport.Input, completions);
                    connection.Transport = new Pair(input, transport.Output);
                    try
                    {
                        await next(connection);
                    }
                    finally
                    {
                        connection.Transport = transport;
                    }
                }),
            },
            log);
        await using var peer = await HabitPeer.ConnectAsync(server.EndPoint);
        peer.StartReading();
        await peer.SendAsync("x");
        await peer.EndedAsync();

        Assert.Equal([reason], completions);
        Assert.Equal((Line, PeerSaw.Eof), (Encoding.ASCII.GetString(peer.Received), peer.End));
    }

    private static void Wrap(ListenOptions endpoint, Func<Stream, Stream> wrap, bool isBothWays = false) =>
        endpoint.Use(next => async connection =>
        {
            var transport = connection.Transport;
            var input = PipeReader.Create(wrap(transport.Input.AsStream(leaveOpen: true)));
            var output = isBothWays ? PipeWriter.Create(transport.Output.AsStream(leaveOpen: true)) : transport.Output;
            connection.Transport = new Pair(input, output);
            try
            {
                await next(connection);
            }
            finally
            {
                connection.Transport = transport;
            }
        });

    private sealed record Pair(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
