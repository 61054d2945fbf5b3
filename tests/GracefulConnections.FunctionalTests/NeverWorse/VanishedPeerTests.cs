using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>A peer that vanishes without a packet, and TCP that finds out while the handler reads.</summary>
public class VanishedPeerTests
{
    [Fact]
    public async Task KeepAlive_HandlerReads_IsThePeersResetAndNoFaultOfTheHandler()
    {
        using var network = NetworkNamespace.Create();
        using var bothAnswered = new CountdownEvent(2);
        var cut = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var played = await Habit.CompareAsync(
            static (connection, _) => HandlerSteps.EchoAsync(connection),
            async play =>
            {
                await play.Peer.SendAsync("x");
                await play.Peer.ReceivedAsync(1);
                if (bothAnswered.Signal())
                {
                    network.Cut();
                    cut.SetResult();
                }

                await cut.Task.InTimeAsync();
                await play.Handled.InTimeAsync();
            },
            new HabitSetup { Network = network, Before = KeepAlive });

        played.Print();
        Assert.Equal(SocketError.TimedOut, FindSocketError(played.Stock.Fault));
        Assert.Equal(CloseReason.PeerReset, played.Ours.Close!.Value.Reason);
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
