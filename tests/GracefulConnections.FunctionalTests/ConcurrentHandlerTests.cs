using System.Collections.Concurrent;
using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests;

/// <summary>
/// Handlers that read on one thread and write on another while a third asks for the close, 10,000 times.
/// </summary>
[Collection(SerialTests.Name)]
public class ConcurrentHandlerTests
{
    private const int ConnectionCount = 10_000;
    private const int AtATime = 64;
    private const int PieceBytes = 1000;
    // The request may be late on a busy machine, and the test is not about megabytes.
    private const int MostPieces = 50;

    [Fact]
    public Task CloseRequest_ReaderAndWriterOnTheirOwnThreads_LosesNothing() => RunAsync(
        async (connection, unexpected) =>
        {
            connection.Graceful().BeginMessage().Dispose(); // No message is in hand, so its read is cancelled at once.
            var writing = Task.Run(() => WriteUntilCloseRequestedAsync(connection));
            var reading = Task.Run(() => connection.ReadToEndAsync());
            unexpected.Add(await Record.ExceptionAsync(() => writing));
            var end = await Record.ExceptionAsync(() => reading);
            unexpected.Add(end is OperationCanceledException ? null : end ?? new EndOfStreamException());
            return writing.IsCompletedSuccessfully ? await writing : -1;
        },
        async (peer, written) =>
        {
            await peer.SendAsync(new byte[PieceBytes]);
            var (received, end) = await peer.ReadToEndAsync();
            Assert.Equal((await written, PeerSaw.Eof), (received, end));
        },
        [],
        CloseOutcome.Graceful);

    [Fact]
    public Task CloseRequest_PeerResetsMeanwhile_FailsOnlyAsDocumented() => RunAsync(
        async (connection, unexpected) =>
        {
            var writing = Task.Run(() => WriteUntilCloseRequestedAsync(connection));
            var reading = Task.Run(() => connection.ReadToEndAsync());
            unexpected.Add(await Record.ExceptionAsync(() => reading));
            unexpected.Add(await Record.ExceptionAsync(() => writing));
            return 0;
        },
        async (peer, _) =>
        {
            await peer.ReadExactlyAsync(PieceBytes);
            peer.Reset();
        },
        [typeof(ConnectionResetException), typeof(OperationCanceledException)],
        CloseOutcome.PeerReset,
        CloseOutcome.Graceful); // The close was there first.

    [Fact]
    public Task CloseRequest_ApplicationAbortsMeanwhile_FailsOnlyAsDocumented() => RunAsync(
        async (connection, unexpected) =>
        {
            var writing = Task.Run(() => WriteUntilCloseRequestedAsync(connection));
            var reading = Task.Run(() => connection.ReadToEndAsync());
            connection.Abort();
            unexpected.Add(await Record.ExceptionAsync(() => reading));
            unexpected.Add(await Record.ExceptionAsync(() => writing));
            return 0;
        },
        (peer, _) => peer.ReadToEndAsync(),
        [typeof(ConnectionAbortedException), typeof(OperationCanceledException)],
        CloseOutcome.Aborted);

    private static async Task RunAsync(
        Func<ConnectionContext, ConcurrentBag<Exception?>, Task<long>> handler,
        Func<ScriptedPeer, Task<long>, Task> act,
        Type[] documented,
        params CloseOutcome[] outcomes)
    {
        var exceptions = new ConcurrentBag<Exception?>();
        var meetings = new ConcurrentDictionary<int, Meeting>();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            var meeting = meetings[((IPEndPoint)connection.RemoteEndPoint!).Port];
            // Otherwise an abort may come before the peer knows that it is connected.
            await meeting.PeerConnected.Task.InTimeAsync();
            ThreadPool.UnsafeQueueUserWorkItem(
                static graceful => graceful.RequestClose(), connection.Graceful(), preferLocal: false);
            meeting.HandlerWrote.SetResult(await handler(connection, exceptions));
        });

        await Parallel.ForAsync(
            0, ConnectionCount, new ParallelOptions { MaxDegreeOfParallelism = AtATime }, async (_, _) =>
        {
            // Known before it connects, because a reset frees the port for the next peer.
            var meeting = new Meeting();
            await using var peer = await server.ConnectAsync(socket =>
            {
                socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
                meetings[((IPEndPoint)socket.LocalEndPoint!).Port] = meeting;
            });
            meeting.PeerConnected.SetResult();
            await act(peer, meeting.HandlerWrote.Task.InTimeAsync());
            await meeting.HandlerWrote.Task.InTimeAsync();
        });

        for (var i = 0; i < ConnectionCount; i++)
        {
            Assert.Contains((await server.NextResultAsync()).Outcome, outcomes);
        }

        Assert.All(
            exceptions,
            exception => Assert.True(
                exception is null || documented.Contains(exception.GetType()), exception?.ToString()));
    }

    private sealed class Meeting
    {
        public TaskCompletionSource PeerConnected { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource<long> HandlerWrote { get; } =
            new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private static async Task<long> WriteUntilCloseRequestedAsync(ConnectionContext connection)
    {
        var closeRequested = connection.Graceful().CloseRequested;
        long written = 0;
        do
        {
            if ((await connection.SendAsync(PieceBytes)).IsCompleted)
            {
                break;
            }

            written += PieceBytes;
        }
        while (written < MostPieces * PieceBytes && !closeRequested.IsCancellationRequested);

        return written;
    }
}
