using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>Bytes of a connection that no reader of ours ever sees: no limit may wait for them.</summary>
public class UncountedBytesTests
{
    private const int HeaderBytes = 6;

    // CloseTimeout and DrainTimeout are the limits that were reached, so they are beyond the limit of every wait here.
    private static readonly TimeSpan Never = 2 * TestServer.TestLimit;

    public static TheoryData<bool> Kinds { get; } = [true, false];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Linger_PeerKeepsItsSideOpen_EndsAtLingerIdleTimeout(bool isUrgent)
    {
        var played = await Habit.CompareAsync(
            static async (connection, _) =>
            {
                await connection.ReadExactlyAsync(1);
                await connection.SendAsync(1);
            },
            async play =>
            {
                await SendAsync(play.Peer, isUrgent);
                await play.Peer.EndedAsync();
                if (play.Graceful is { } graceful)
                {
                    await graceful.Closed.InTimeAsync();
                }
            },
            SetupFor(isUrgent, static options => options.LingerIdleTimeout = TimeSpan.FromSeconds(1)));

        played.Print();
        Assert.Equal((1, 1), (played.Stock.Received.Length, played.Ours.Received.Length));
        Assert.Equal((PeerSaw.Eof, PeerSaw.Eof), (played.Stock.End, played.Ours.End));
        var close = played.Ours.Close!.Value;
        Assert.Equal((CloseOutcome.LingerTimedOut, 0L), (close.Outcome, close.UnacknowledgedBytes));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Stop_PeerKeepsItsSideOpen_IsNotHeld(bool isUrgent)
    {
        var played = await Habit.CompareAsync(
            static (connection, _) => HandlerSteps.EchoAsync(connection),
            async play =>
            {
                await SendAsync(play.Peer, isUrgent);
                await play.Peer.ReceivedAsync(1);
                await play.StopAsync();
                await play.Peer.EndedAsync();
                await play.Stopping.InTimeAsync();
            },
            SetupFor(isUrgent) with { Patience = Never, StockPatience = TimeSpan.FromSeconds(2) });

        played.Print();
        Assert.Equal((1, 1), (played.Stock.Received.Length, played.Ours.Received.Length));
        Assert.Equal(PeerSaw.Eof, played.Ours.End);
    }

    private static async Task SendAsync(HabitPeer peer, bool isUrgent)
    {
        if (isUrgent)
        {
            Assert.Equal(1, await peer.Socket.SendAsync("!"u8.ToArray(), SocketFlags.OutOfBand));
        }

        await peer.SendAsync("x");
    }

    private static HabitSetup SetupFor(bool isUrgent, Action<GracefulCloseOptions>? configure = null) => new()
    {
        Before = isUrgent ? null : TakeHeader,
        Greet = isUrgent ? null : static peer => peer.SendAsync("PROXY\n"),
        Options = options =>
        {
            options.CloseTimeout = Never;
            configure?.Invoke(options);
        },
    };

    // As for the PROXY protocol.
    private static void TakeHeader(ListenOptions endpoint) => endpoint.Use(next => async connection =>
    {
        var input = connection.Transport.Input;
        var read = await input.ReadAtLeastAsync(HeaderBytes);
        input.AdvanceTo(read.Buffer.GetPosition(HeaderBytes));
        await next(connection);
    });
}
