using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>
/// Every kind of handler at the stop of a host with <c>AddGracefulShutdown()</c>: its end as the peer sees it, and as
/// the report tells it.
/// </summary>
public class HandlerDrainTests
{
    private const int MessageBytes = 1000;
    private const int StuckReplyBytes = 12_000_000; // More than both kernels hold.
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(200);

    [Fact]
    public async Task Stop_LoopsOnReadsAndIsIdle_EndsWithFin()
    {
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync);
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[MessageBytes]);
        await peer.ReadExactlyAsync(MessageBytes);

        var stopping = server.StopAndReportAsync();

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await AssertEndedAsync(server, await stopping, CloseOutcome.Graceful);
    }

    [Fact]
    public async Task Stop_LoopsOnReadsWithHalfAMessage_ServesItWhole()
    {
        var halfRead = new TaskCompletionSource();
        await using var server = await TestServer.StartDrainingAsync(
            connection => connection.ServeMessagesAsync(MessageBytes, () => halfRead.TrySetResult()));
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[MessageBytes / 2]);
        await halfRead.Task.InTimeAsync();

        var stopping = server.StopAndReportAsync();
        await CloseRequestedAsync(server);
        Assert.Equal(ConnectionActivity.Busy, Assert.Single(server.Drain.GetConnections()).Activity);
        await peer.SendAsync(new byte[MessageBytes / 2]);

        Assert.Equal((MessageBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await AssertEndedAsync(server, await stopping, CloseOutcome.Graceful);
    }

    [Fact]
    public async Task Stop_LoopsOnReadsWithoutAByteYet_EndsWithFin()
    {
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync);
        await using var peer = await server.ConnectTrackedAsync();

        var stopping = server.StopAndReportAsync();

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await AssertEndedAsync(server, await stopping, CloseOutcome.Graceful);
    }

    [Fact]
    public async Task Stop_BytesInTheSocketsReceiveQueue_AreServedFirst()
    {
        const int burstBytes = 32 * 1024;
        var busy = new TaskCompletionSource();
        var goOn = new TaskCompletionSource();
        await using var server = await TestServer.StartDrainingAsync(
            async connection =>
            {
                await connection.ReadExactlyAsync(1);
                busy.SetResult();
                await goOn.Task.InTimeAsync();
                await HandlerSteps.EchoAsync(connection);
            },
            // So that the server reads one block, and the rest stays in the kernel.
            build: builder => builder.WebHost.UseSockets(sockets => sockets.MaxReadBufferSize = 1));
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[1]);
        await busy.Task.InTimeAsync();
        await peer.SendAsync(new byte[burstBytes]);
        await peer.AllAcknowledgedAsync();

        var stopping = server.StopAndReportAsync();
        await CloseRequestedAsync(server);
        goOn.SetResult();

        Assert.Equal((burstBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await AssertEndedAsync(server, await stopping, CloseOutcome.Graceful);
    }

    [Fact]
    public async Task Stop_MessagesThatJustArrivedAtIdleConnections_AreServedFirst()
    {
        const int peerCount = 50;
        await using var server =
            await TestServer.StartDrainingAsync(connection => connection.ServeMessagesAsync(MessageBytes));
        var peers = new List<ScriptedPeer>();
        for (var i = 0; i < peerCount; i++)
        {
            peers.Add(await server.ConnectTrackedAsync());
        }

        foreach (var peer in peers)
        {
            await peer.SendAsync(new byte[MessageBytes]);
        }

        await peers[^1].AllAcknowledgedAsync(); // Loopback hands over in the order sent: then all of them have arrived.
        var stopping = server.StopAndReportAsync();

        foreach (var peer in peers)
        {
            Assert.Equal((MessageBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
            await peer.DisposeAsync();
        }

        var report = await stopping;
        Assert.Equal((peerCount, peerCount, 0), (report.ConnectionCount, report.DeliveredCount, report.DiscardedBytes));
    }

    [Fact]
    public async Task Stop_NeverReadsAndWatchesConnectionClosed_IsResetAtDrainTimeout()
    {
        await using var server = await TestServer.StartDrainingAsync(
            connection => Task.Delay(Timeout.Infinite, connection.ConnectionClosed),
            drain => drain.DrainTimeout = Short);
        await using var peer = await server.ConnectTrackedAsync();
        await peer.SendAsync(new byte[MessageBytes]);
        await peer.AllAcknowledgedAsync();

        var report = await server.StopAndReportAsync();

        Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());
        AssertAborted(report, unendedHandlerCount: 0);
        await AssertResultAsync(server, CloseOutcome.Aborted);
    }

    [Fact]
    public async Task Stop_PushOnlyHandlerThatWatchesCloseRequested_EndsWithFinAfterItsLastTick()
    {
        long written = 0;
        await using var server = await TestServer.StartDrainingAsync(
            async connection => written = await PushUntilCloseRequestedAsync(connection));
        await using var peer = await server.ConnectAsync();
        await peer.ReadExactlyAsync(MessageBytes);

        var stopping = server.StopAndReportAsync();

        var (received, end) = await peer.ReadToEndAsync();
        peer.HalfClose();
        await AssertEndedAsync(server, await stopping, CloseOutcome.Graceful);
        Assert.Equal((written, PeerSaw.Eof), (received + MessageBytes, end));
    }

    [Fact]
    public async Task Stop_ReaderAndWriterOnTheirOwnThreads_DeliversAllThatWasWritten()
    {
        long written = 0;
        await using var server = await TestServer.StartDrainingAsync(async connection =>
        {
            var writing = Task.Run(() => PushUntilCloseRequestedAsync(connection));
            var reading = Task.Run(() => connection.ReadToEndAsync());
            written = await writing;
            await reading; // Is cancelled, and so is this handler: a normal return.
        });
        await using var peer = await server.ConnectAsync();
        await peer.ReadExactlyAsync(MessageBytes);

        var stopping = server.StopAndReportAsync();

        var (received, end) = await peer.ReadToEndAsync();
        peer.HalfClose();
        await AssertEndedAsync(server, await stopping, CloseOutcome.Graceful);
        Assert.Equal((written, PeerSaw.Eof), (received + MessageBytes, end));
    }

    [Fact]
    public async Task Stop_AwaitsForever_IsResetAtDrainTimeoutAndAbandoned()
    {
        using var log = new CapturedLog();
        await using var server = await TestServer.StartDrainingAsync(
            _ => new TaskCompletionSource().Task,
            drain => drain.DrainTimeout = Short,
            build: builder => builder.Logging.AddProvider(log));
        await using var peer = await server.ConnectTrackedAsync();

        var report = await server.StopAndReportAsync();

        Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());
        AssertAborted(report, unendedHandlerCount: 1);
        AssertAbandoned(log, report);
        await AssertResultAsync(server, CloseOutcome.Aborted);
    }

    [Fact]
    public async Task Stop_BlocksItsThreadFromTheFirstLine_IsResetAtDrainTimeoutAndAbandoned()
    {
        using var log = new CapturedLog();
        using var never = new ManualResetEventSlim();
        var blocked = new TaskCompletionSource();
        await using var server = await TestServer.StartDrainingAsync(
            _ =>
            {
                blocked.SetResult();
                never.Wait();
                return Task.CompletedTask;
            },
            drain => drain.DrainTimeout = Short,
            build: builder => builder.Logging.AddProvider(log));
        try
        {
            await using var peer = await server.ConnectAsync();
            await blocked.Task.InTimeAsync();

            var report = await server.StopAndReportAsync();

            Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());
            AssertAborted(report, unendedHandlerCount: 1);
            AssertAbandoned(log, report);
        }
        finally
        {
            never.Set(); // The thread is the test's.
        }
    }

    [Fact]
    public async Task Stop_ThrowsOnceItsReadIsCancelled_EndsWithFinAndIsLogged()
    {
        using var log = new CapturedLog();
        var fault = new InvalidOperationException("The handler's own.");
        await using var server = await TestServer.StartDrainingAsync(
            connection => EchoThenThrowAsync(connection, fault),
            build: builder => builder.Logging.AddProvider(log));
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[MessageBytes]);
        await peer.ReadExactlyAsync(MessageBytes);

        var stopping = server.StopAndReportAsync();

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await AssertEndedAsync(server, await stopping, CloseOutcome.Graceful);
        Assert.Same(fault, Assert.Single(log.Entries, entry => entry.Level >= LogLevel.Warning).Exception);
    }

    [Fact]
    public async Task Stop_ThrowsOnceItsReadIsCancelledWithAbortOnHandlerFault_IsReset()
    {
        await using var server = await TestServer.StartDrainingAsync(
            connection => EchoThenThrowAsync(connection, new InvalidOperationException("The handler's own.")),
            configure: options => options.AbortOnHandlerFault = true);
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[MessageBytes]);
        await peer.ReadExactlyAsync(MessageBytes);

        var report = await server.StopAndReportAsync();

        Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());
        // By its handler, and not because its time was up.
        await AssertEndedAsync(server, report, CloseOutcome.Aborted);
    }

    [Fact]
    public async Task Stop_BlockedInAWriteToAPeerThatNeverReads_IsResetAtFlushStallTimeout()
    {
        await using var server = await TestServer.StartDrainingAsync(
            SendStuckReplyAsync, configure: options => options.FlushStallTimeout = Short);
        await using var peer = await server.ConnectAsync(SmallWindow);
        await WriteBlockedAsync(server);

        var report = await server.StopAndReportAsync();

        await AssertEndedAsync(server, report, CloseOutcome.FlushTimedOut);
        Assert.Equal(PeerSaw.Reset, await peer.AbortArrivesAsync());
        var (received, _) = await peer.ReadToEndAsync();
        var missed = StuckReplyBytes - received;
        Assert.InRange(report.UnacknowledgedBytes, missed, missed + TestServer.LargestSend);
    }

    [Fact]
    public async Task Stop_BlockedInAWriteToAPeerThatReadsOn_DeliversEverything()
    {
        await using var server = await TestServer.StartDrainingAsync(SendStuckReplyAsync);
        await using var peer = await server.ConnectAsync(SmallWindow);
        await WriteBlockedAsync(server);

        var stopping = server.StopAndReportAsync();
        await CloseRequestedAsync(server);

        Assert.Equal((StuckReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await AssertEndedAsync(server, await stopping, CloseOutcome.Graceful);
    }

    private static async Task EchoThenThrowAsync(ConnectionContext connection, Exception fault)
    {
        Assert.IsAssignableFrom<OperationCanceledException>(
            await Record.ExceptionAsync(() => HandlerSteps.EchoAsync(connection)));
        throw fault;
    }

    private static async Task<long> PushUntilCloseRequestedAsync(ConnectionContext connection)
    {
        var closeRequested = connection.Graceful().CloseRequested;
        long written = 0;
        do
        {
            await connection.SendAsync(MessageBytes);
            written += MessageBytes;
        }
        while (!closeRequested.IsCancellationRequested);

        return written;
    }

    private static async Task SendStuckReplyAsync(ConnectionContext connection)
    {
        await connection.SendAsync(StuckReplyBytes);
        await connection.ReadToEndAsync();
    }

    private static void SmallWindow(System.Net.Sockets.Socket socket) => socket.ReceiveBufferSize = 64 * 1024;

    private static Task WriteBlockedAsync(TestServer server) =>
        Eventually.IsTrueAsync(
            () => server.Drain.GetConnections() is [{ IsPeerWindowClosed: true, UnacknowledgedBytes: > 0 }]);

    private static Task CloseRequestedAsync(TestServer server) =>
        Eventually.IsTrueAsync(() => server.Drain.GetConnections() is [{ IsCloseRequested: true }]);

    private static async Task AssertEndedAsync(TestServer server, DrainReport report, CloseOutcome outcome)
    {
        Assert.Equal((1, 0), (report.ConnectionCount, report.UnendedHandlerCount));
        Assert.Equal(new KeyValuePair<CloseOutcome, int>(outcome, 1), Assert.Single(report.Outcomes));
        Assert.Empty(report.Aborted);
        await AssertResultAsync(server, outcome);
    }

    private static void AssertAborted(DrainReport report, int unendedHandlerCount)
    {
        Assert.Equal((1, unendedHandlerCount), (report.ConnectionCount, report.UnendedHandlerCount));
        Assert.Equal(new KeyValuePair<CloseOutcome, int>(CloseOutcome.Aborted, 1), Assert.Single(report.Outcomes));
        Assert.Single(report.Aborted);
    }

    private static void AssertAbandoned(CapturedLog log, DrainReport report) => Assert.Single(log.Entries, entry =>
        entry.Level == LogLevel.Warning
            && entry.Message.Contains($"\"{report.Aborted[0].ConnectionId}\"", StringComparison.Ordinal)
            && entry.Message.EndsWith(
                "The host stops without it. Look for a call in it that blocks or ignores CloseRequested.", StringComparison.Ordinal));

    private static async Task AssertResultAsync(TestServer server, CloseOutcome outcome)
    {
        var result = await server.NextResultAsync();
        Assert.Equal((CloseReason.HostStopping, outcome), (result.Reason, result.Outcome));
        Assert.Equal((DrainPhase.Drained, 0), (server.Drain.Phase, server.Drain.ConnectionCount));
    }
}
