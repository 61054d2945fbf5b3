using System.Collections.Concurrent;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests;

/// <summary>
/// 10,000 closes of each kind leave nothing behind: no descriptor, no socket that only a descriptor keeps, no object.
/// </summary>
[Collection(SerialTests.Name)]
public class ManyClosesTests
{
    private const int CloseCount = 10_000;
    private const int AtATime = 64;
    private const int MessageBytes = 100;

    [Fact]
    public Task PeerClosesFirst_LeavesNothing() => CloseAsync(
        HandlerSteps.EchoAsync,
        async peer =>
        {
            await peer.SendAsync(new byte[MessageBytes]);
            peer.HalfClose();
            Assert.Equal((MessageBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        },
        CloseOutcome.Graceful);

    [Fact]
    public Task ServerClosesFirst_LeavesNothing() => CloseAsync(
        async connection =>
        {
            await connection.ReadExactlyAsync(MessageBytes);
            await connection.SendAsync(MessageBytes);
        },
        async peer =>
        {
            await peer.SendAsync(new byte[MessageBytes]);
            Assert.Equal((MessageBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        },
        CloseOutcome.Graceful);

    [Fact]
    public Task HandlerHalfClosesFirst_LeavesNothing() => CloseAsync(
        async connection =>
        {
            await connection.SendAsync(MessageBytes);
            await connection.Transport.Output.CompleteAsync();
            await connection.ReadToEndAsync();
        },
        async peer => Assert.Equal((MessageBytes, PeerSaw.Eof), await peer.ReadToEndAsync()),
        CloseOutcome.Graceful);

    [Fact]
    public Task PeerUploadsToAHandlerThatNeverReads_LeavesNothing() => CloseAsync(
        connection => connection.SendAsync(MessageBytes),
        async peer =>
        {
            await peer.SendAsync(new byte[128 * 1024]);
            Assert.Equal((MessageBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        },
        CloseOutcome.Graceful);

    [Fact]
    public Task PeerClosesAtOnce_LeavesNothing() => CloseAsync(
        connection => connection.SendAsync(MessageBytes),
        _ => Task.CompletedTask,
        CloseOutcome.Graceful,
        CloseOutcome.PeerReset); // The reply met a socket that was closed already.

    [Fact]
    public Task PeerResets_LeavesNothing() => CloseAsync(
        HandlerSteps.EchoAsync,
        async peer =>
        {
            await peer.SendAsync(new byte[MessageBytes]);
            await peer.ReadExactlyAsync(MessageBytes);
            peer.Reset();
        },
        CloseOutcome.PeerReset);

    [Fact]
    public Task PeerNeverCloses_LeavesNothing() => CloseAsync(
        async connection =>
        {
            // Otherwise the reset may come before the peer knows that it is connected.
            await connection.ReadExactlyAsync(MessageBytes);
            await connection.SendAsync(MessageBytes);
        },
        async peer =>
        {
            await peer.SendAsync(new byte[MessageBytes]);
            Assert.Equal((MessageBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
            await SendAndSeeResetAsync(peer);
        },
        options =>
        {
            options.LingerIdleTimeout = TimeSpan.FromMilliseconds(1);
            options.MaxLingerBytes = 0;
        },
        CloseOutcome.LingerTimedOut,
        CloseOutcome.LingerLimitExceeded);

    [Fact]
    public Task HandlerThrows_LeavesNothing() => CloseAsync(
        async connection =>
        {
            await connection.ReadExactlyAsync(MessageBytes);
            throw new InvalidOperationException("The handler's own.");
        },
        async peer =>
        {
            await peer.SendAsync(new byte[MessageBytes]);
            Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        },
        CloseOutcome.Graceful);

    [Fact]
    public Task HandlerThrowsWithAbortOnHandlerFault_LeavesNothing() => CloseAsync(
        async connection =>
        {
            await connection.ReadExactlyAsync(MessageBytes);
            throw new InvalidOperationException("The handler's own.");
        },
        async peer =>
        {
            await peer.SendAsync(new byte[MessageBytes]);
            peer.HalfClose(); // Who has ended needs no time to read what came before the RST.
            Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());
        },
        options => options.AbortOnHandlerFault = true,
        CloseOutcome.Aborted);

    // Sends now and then: peers that send all the time keep the processors from the server, which is to time out. A limit sends no
    // RST by itself, but the kernel answers with one what comes after the close.
    private static Task SendAndSeeResetAsync(ScriptedPeer peer)
    {
        var message = new byte[MessageBytes];
        return Eventually.IsTrueAsync(() =>
        {
            try
            {
                peer.Socket.Send(message);
                return false;
            }
            catch (SocketException exception)
                when (exception.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
            {
                return true;
            }
        });
    }

    private static Task CloseAsync(
        Func<ConnectionContext, Task> handler, Func<ScriptedPeer, Task> act, params CloseOutcome[] outcomes) =>
        CloseAsync(handler, act, _ => { }, outcomes);

    private static async Task CloseAsync(
        Func<ConnectionContext, Task> handler, Func<ScriptedPeer, Task> act, Action<GracefulCloseOptions> configure,
        params CloseOutcome[] outcomes)
    {
        var connections = new ConcurrentQueue<WeakReference<IGracefulCloseFeature>>();
        await using var server = await TestServer.StartAsync(
            connection =>
            {
                connections.Enqueue(new WeakReference<IGracefulCloseFeature>(connection.Graceful()));
                return handler(connection);
            },
            configure);
        await RunAsync(AtATime); // Whatever is opened once is open from here on.
        var descriptors = KernelSocket.CountDescriptors();

        await RunAsync(CloseCount);

        await Eventually.IsTrueAsync(() => KernelSocket.CountDescriptors() <= descriptors);
        Assert.DoesNotContain(
            KernelSocket.OnPort(server.Port),
            socket => socket is { State: KernelSocket.CloseWait or KernelSocket.FinWait2, HasDescriptor: true });
        Assert.Equal(CloseCount + AtATime, connections.Count);
        await Eventually.IsTrueAsync(() => CountAlive(connections) == 0);

        async Task RunAsync(int count)
        {
            await Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = AtATime }, async (_, _) =>
            {
                await using var peer = await server.ConnectAsync();
                await act(peer);
            });
            for (var i = 0; i < count; i++)
            {
                Assert.Contains((await server.NextResultAsync()).Outcome, outcomes);
            }
        }
    }

    private static int CountAlive(IEnumerable<WeakReference<IGracefulCloseFeature>> connections)
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return connections.Count(connection => connection.TryGetTarget(out _));
    }
}
