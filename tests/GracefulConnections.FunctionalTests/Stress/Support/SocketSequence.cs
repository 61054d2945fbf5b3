using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Stress.Support;

/// <summary>Carries out one script on a real connection, and compares what both ends saw with the result.</summary>
internal sealed class SocketSequence(
    TestServer server, ConcurrentDictionary<int, TaskCompletionSource<SocketHandler>> handlers)
{
    public static Func<ConnectionContext, Task> ServeBy(
        ConcurrentDictionary<int, TaskCompletionSource<SocketHandler>> handlers) => async connection =>
    {
        var handler = await HandlerOf(handlers, ((IPEndPoint)connection.RemoteEndPoint!).Port).Task.WaitAsync(
            TestServer.TestLimit);
        await handler.ServeAsync(connection);
    };

    public async Task RunAsync(SocketScript script)
    {
        var handler = new SocketHandler(script);
        await using var peer = await server.ConnectAsync(socket =>
        {
            if (script.SmallBuffers)
            {
                socket.ReceiveBufferSize = 4096;
            }
        });
        var port = ((IPEndPoint)peer.Socket.LocalEndPoint!).Port;
        HandlerOf(handlers, port).SetResult(handler);
        var books = new PeerBooks(peer);
        var feature = await handler.Connected.WaitAsync(TestServer.TestLimit);
        foreach (var step in script.Peer)
        {
            await books.DoAsync(step);
        }

        feature.RequestClose(); // So that a handler that waits for more comes to its end.
        await books.EndAsync(script.End, handler, feature.Closed);
        var result = await feature.Closed.WaitAsync(TestServer.TestLimit);
        handlers.TryRemove(port, out _);
        Check(script, handler, books, result);
    }

    private static TaskCompletionSource<SocketHandler> HandlerOf(
        ConcurrentDictionary<int, TaskCompletionSource<SocketHandler>> handlers, int port) =>
        handlers.GetOrAdd(
            port,
            static _ => new TaskCompletionSource<SocketHandler>(TaskCreationOptions.RunContinuationsAsynchronously));

    private static void Check(SocketScript script, SocketHandler handler, PeerBooks books, CloseResult result)
    {
        Assert.True(handler.Violation is null, handler.Violation);
        Assert.True(books.Violation is null, books.Violation);
        var written = handler.WrittenBytes - handler.LeftOutBytes;
        var received = books.ReceivedBytes;
        var what =
            $"{written} written, {received} received, the peer saw {books.Saw?.ToString() ?? "nothing"}: {result}";
        Assert.True(received <= written, $"The peer received more than was written. {what}");
        if (script.End == PeerEnd.Resets)
        {
            return;
        }

        var aborts = handler.HasAborted;
        var mayAbort = script.End == PeerEnd.HalfClosesAndStallsUntilTheApplicationAborts
            || handler.WasCancelled // What it had read and not answered.
            || script.Handler.FirstOrDefault(
                static step =>
                    step.Act is SocketAct.CompleteOutput or SocketAct.FailOutput).Act == SocketAct.FailOutput;
        Assert.True(
            books.Saw != PeerSaw.Eof || received == written, $"EOF with bytes missing: silent truncation. {what}");
        Assert.True(result.UnacknowledgedBytes is null or >= 0, $"Less than nothing is unacknowledged. {what}");
        Assert.True(
            result.UnacknowledgedBytes is null || received >= handler.WrittenBytes - result.UnacknowledgedBytes,
            $"More was acknowledged than received. {what}");
        switch (result.Outcome)
        {
            case CloseOutcome.Graceful:
                Assert.True(books.Saw == PeerSaw.Eof || mayAbort, $"Graceful without our FIN. {what}");
                Assert.True(received == written, $"Graceful with bytes missing. {what}");
                Assert.True(
                    result.UnacknowledgedBytes == handler.LeftOutBytes, $"Graceful with unacknowledged bytes. {what}");
                Assert.True(books.HalfClosed, $"Graceful without the peer's FIN. {what}");
                Assert.True(!aborts, $"Graceful, and the handler aborted. {what}");
                Assert.True(
                    handler.ConsumedBytes + result.DiscardedBytes == books.SentBytes,
                    $"{books.SentBytes} bytes were sent, {handler.ConsumedBytes} consumed and {result.DiscardedBytes} discarded. {what}");
                break;
            case CloseOutcome.LingerTimedOut:
                Assert.True(received == written, $"A linger began before everything was delivered. {what}");
                Assert.True(result.UnacknowledgedBytes == 0, $"A linger began with unacknowledged bytes. {what}");
                break;
            case CloseOutcome.FlushTimedOut:
                // Where our FIN was in the kernel by then, the peer may have read on.
                var missed = books.Saw == PeerSaw.Eof ? 0 : written - received;
                Assert.True(
                    result.UnacknowledgedBytes >= missed
                        && result.UnacknowledgedBytes <= handler.WrittenBytes + TestServer.LargestSend,
                    $"What is unacknowledged is not what the peer missed. {what}");
                break;
            case CloseOutcome.CloseTimedOut:
                Assert.True(
                    result.UnacknowledgedBytes > 0 || books.Saw == PeerSaw.Eof,
                    $"A flush stalled with nothing to flush. {what}");
                break;
            case CloseOutcome.Aborted:
                Assert.True(aborts || mayAbort, $"Nobody aborted. {what}");
                break;
            case CloseOutcome.PeerReset:
                Assert.Fail($"The peer did not reset. {what}");
                break;
            default:
                Assert.Fail($"Not an outcome of these options. {what}");
                break;
        }
    }
}
