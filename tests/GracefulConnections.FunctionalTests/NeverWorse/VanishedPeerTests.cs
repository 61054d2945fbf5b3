using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>A peer that vanishes without a packet: TCP finds out, or a limit does.</summary>
public class VanishedPeerTests
{
    private const int ReplyBytes = 3_000_000;
    private const int UserTimeoutOption = 18; // TCP_USER_TIMEOUT in linux/tcp.h.

    // The link is down for ever, and TCP would try for a quarter of an hour.
    [Fact]
    public async Task LinkDown_OutputIsUndelivered_TellsWhatThePeerMissed()
    {
        var played = await CutInTheMiddleOfAReplyAsync(
            null, static options => options.FlushStallTimeout = TimeSpan.FromSeconds(1));

        AssertMissed(CloseOutcome.FlushTimedOut, played);
    }

    [Fact]
    public async Task UserTimeout_OutputIsUndelivered_IsThePeersResetAndTellsWhatItMissed()
    {
        var played = await CutInTheMiddleOfAReplyAsync(
            static socket =>
            {
                const int milliseconds = 1000;
                socket.SetRawSocketOption((int)SocketOptionLevel.Tcp, UserTimeoutOption, BitConverter.GetBytes(milliseconds));
            },
            static options => options.FlushStallTimeout = TestServer.TestLimit);

        AssertMissed(CloseOutcome.PeerReset, played);
    }

    // The peer has everything and goes without a word. Nobody else would ever find out.
    [Fact]
    public async Task KeepAlive_Lingering_IsThePeersReset()
    {
        using var network = Networks.Create();
        using var bothEnded = new CountdownEvent(2);
        var cut = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var played = await Habit.CompareAsync(
            static (connection, _) => connection.SendAsync(1),
            async play =>
            {
                await play.Peer.EndedAsync();
                if (play.Graceful is { } flushing)
                {
                    // The peer's kernel may take its time for the ACK of our FIN, which the cut must not swallow.
                    await Eventually.IsTrueAsync(() => flushing.State == CloseState.Lingering);
                }

                Cut(network, bothEnded, cut);
                await cut.Task.InTimeAsync();
                if (play.Graceful is { } graceful)
                {
                    await graceful.Closed.InTimeAsync();
                }
            },
            new HabitSetup
            {
                Network = network,
                Before = KeepAlive,
                Options = static options => options.LingerIdleTimeout = 2 * TestServer.TestLimit,
            });

        played.Print();
        Assert.Equal((1, PeerSaw.Eof), (played.Stock.Received.Length, played.Stock.End));
        Assert.Equal((1, PeerSaw.Eof), (played.Ours.Received.Length, played.Ours.End));
        var close = played.Ours.Close!.Value;
        Assert.Equal((CloseOutcome.PeerReset, 0L), (close.Outcome, close.UnacknowledgedBytes));
    }

    [Fact]
    public async Task KeepAlive_HandlerReads_IsThePeersResetAndNoFaultOfTheHandler()
    {
        using var network = Networks.Create();
        using var bothAnswered = new CountdownEvent(2);
        var cut = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var played = await Habit.CompareAsync(
            static (connection, _) => HandlerSteps.EchoAsync(connection),
            async play =>
            {
                await play.Peer.SendAsync("x");
                await play.Peer.ReceivedAsync(1);
                Cut(network, bothAnswered, cut);
                await cut.Task.InTimeAsync();
                await play.Handled.InTimeAsync();
            },
            new HabitSetup { Network = network, Behind = KeepAlive });

        played.Print();
        Assert.Equal(SocketError.TimedOut, FindSocketError(played.Stock.Fault));
        Assert.Equal(CloseReason.PeerReset, played.Ours.Close!.Value.Reason);
        Assert.Empty(played.Ours.Errors);
    }

    // Nothing but FIN is undelivered, and nobody will ever acknowledge it. Only the drain's LingerIdleTimeout of 1 s is
    // shorter than this test may take.
    [Fact]
    public async Task Stop_IdlePeerHasVanished_IsNotHeldByIt()
    {
        using var network = Networks.Create();
        using var bothAnswered = new CountdownEvent(2);
        var cut = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var played = await Habit.CompareAsync(
            static (connection, _) => HandlerSteps.EchoAsync(connection),
            async play =>
            {
                await play.Peer.SendAsync("x");
                await play.Peer.ReceivedAsync(1);
                if (!play.IsStock)
                {
                    // The cut must not swallow the ACK of the reply, which may come late.
                    await Eventually.IsTrueAsync(
                        () => play.Server.Drain.GetConnections() is [{ WrittenBytes: 1, UnacknowledgedBytes: 0 }]);
                }

                Cut(network, bothAnswered, cut);
                await cut.Task.InTimeAsync();
                await play.StopAsync();
                await play.Stopping.InTimeAsync();
            },
            new HabitSetup
            {
                Network = network,
                Patience = 2 * TestServer.TestLimit,
                StockPatience = TimeSpan.FromSeconds(1),
                Options = static options => options.FlushStallTimeout = 2 * TestServer.TestLimit,
            });

        played.Print();
        var close = played.Ours.Close!.Value;
        Assert.Equal(
            (CloseReason.HostStopping, CloseOutcome.LingerTimedOut, 0L),
            (close.Reason, close.Outcome, close.UnacknowledgedBytes));
        Assert.Empty(played.Ours.Errors);
    }

    // The link is slow, so that most of the reply is on its way when it is cut.
    private static async Task<HabitComparison> CutInTheMiddleOfAReplyAsync(
        Action<Socket>? configure, Action<GracefulCloseOptions> options)
    {
        using var network = Networks.Create();
        network.LimitSpeed(10_000_000);
        using var bothServe = new CountdownEvent(2);
        using var bothBegan = new CountdownEvent(2);
        var serve = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var cut = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return await Habit.CompareAsync(
            async (connection, play) =>
            {
                if (bothServe.Signal())
                {
                    serve.SetResult();
                }

                await serve.Task.InTimeAsync();
                _ = connection.SendAsync(ReplyBytes);
            },
            async play =>
            {
                await play.Peer.ReceivedAsync(50_000);
                Cut(network, bothBegan, cut);
                await cut.Task.InTimeAsync();
                if (play.Graceful is { } graceful)
                {
                    await graceful.Closed.InTimeAsync();
                }
            },
            new HabitSetup
            {
                Network = network,
                Options = options,
                Behind = endpoint => endpoint.Use(next => connection =>
                {
                    configure?.Invoke(connection.Features.Get<IConnectionSocketFeature>()!.Socket);
                    return next(connection);
                }),
            });
    }

    private static void Cut(NetworkNamespace network, CountdownEvent bothAreReady, TaskCompletionSource cut)
    {
        if (bothAreReady.Signal())
        {
            network.Cut();
            cut.SetResult();
        }
    }

    // Neither server can bring the rest to the peer, which still waits. Ours knows how much that is.
    private static void AssertMissed(CloseOutcome outcome, HabitComparison played)
    {
        played.Print();
        Assert.Equal((null, null), (played.Stock.End, played.Ours.End));
        Assert.InRange(played.Stock.Received.Length, 1, ReplyBytes - 1);
        var close = played.Ours.Close!.Value;
        Assert.Equal((CloseReason.HandlerCompleted, outcome), (close.Reason, close.Outcome));
        var missed = ReplyBytes - played.Ours.Received.Length;
        Assert.InRange(close.UnacknowledgedBytes!.Value, missed, missed + TestServer.LargestSend);
        Assert.Empty(played.Ours.Errors);
    }

    private static SocketError? FindSocketError(Exception? exception) => exception switch
    {
        null => null,
        SocketException socket => socket.SocketErrorCode,
        _ => FindSocketError(exception.InnerException),
    };

    // Three seconds after the last packet the peer is given up.
    private static void KeepAlive(ListenOptions endpoint) => endpoint.Use(next => connection =>
    {
        var socket = connection.Features.Get<IConnectionSocketFeature>()!.Socket;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 1);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 1);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 1);
        return next(connection);
    });
}
