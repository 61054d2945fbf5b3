using System.Threading.Channels;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests;

/// <summary>Every outcome, with all that the result says and with what the peer saw.</summary>
public abstract class CloseOutcomeTests
{
    private const int ReplyBytes = 100_000;
    private const int StuckReplyBytes = 12_000_000; // More than both kernels hold.
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(200);

    // What a peer with nothing left to read sees of an abort.
    private protected abstract PeerSaw AbortLooksLike { get; }

    private protected abstract bool KnowsUnacknowledgedAfterApplicationAbort { get; }

    private protected abstract bool KnowsUnacknowledgedOfStuckSend { get; }

    private protected abstract Task<TestServer> StartAsync(
        Func<ConnectionContext, Task> handler, Action<GracefulCloseOptions>? configure = null);

    [Fact]
    public async Task Graceful_PeerReadsAllAndCloses()
    {
        await using var server = await StartAsync(connection => connection.SendAsync(ReplyBytes));
        await using var peer = await server.ConnectAsync();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();

        AssertEqual(
            CloseReason.HandlerCompleted, CloseOutcome.Graceful, discarded: 0, unacknowledged: 0,
            await server.NextResultAsync());
    }

    [Fact]
    public async Task Graceful_PeerHalfClosedFirst()
    {
        await using var server = await StartAsync(async connection =>
        {
            await connection.ReadToEndAsync();
            await connection.SendAsync(ReplyBytes);
        });
        await using var peer = await server.ConnectAsync();

        await peer.SendAsync(new byte[1000]);
        peer.HalfClose();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        AssertEqual(
            CloseReason.HandlerCompleted, CloseOutcome.Graceful, discarded: 0, unacknowledged: 0,
            await server.NextResultAsync());
    }

    [Fact]
    public async Task Graceful_HandlerNeverReads_TellsEveryDiscardedByte()
    {
        const int uploadBytes = 3_000_000;
        await using var server = await StartAsync(connection => connection.SendAsync(ReplyBytes));
        await using var peer = await server.ConnectAsync();

        await peer.SendAsync(new byte[uploadBytes]);
        peer.HalfClose();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        AssertEqual(
            CloseReason.HandlerCompleted, CloseOutcome.Graceful, discarded: uploadBytes, unacknowledged: 0,
            await server.NextResultAsync());
    }

    [Fact]
    public async Task Acknowledged_PeerKeepsItsSideOpen()
    {
        await using var server = await StartAsync(
            connection => connection.SendAsync(ReplyBytes),
            options => options.LingerUntil = LingerUntil.OutputAcknowledged);
        await using var peer = await server.ConnectAsync();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());

        AssertEqual(
            CloseReason.HandlerCompleted, CloseOutcome.Acknowledged, discarded: 0, unacknowledged: 0,
            await server.NextResultAsync());
    }

    [Fact]
    public async Task FlushTimedOut_PeerNeverReads_TellsWhatItMissed()
    {
        await using var server = await StartAsync(
            connection =>
            {
                _ = connection.SendAsync(StuckReplyBytes);
                return Task.CompletedTask;
            },
            options => options.FlushStallTimeout = Short);
        await using var peer = await server.ConnectAsync();

        var result = await server.NextResultAsync();

        Assert.Equal(AbortLooksLike, await peer.AbortArrivesAsync());
        var (received, _) = await peer.ReadToEndAsync();
        AssertEqual(
            CloseReason.HandlerCompleted, CloseOutcome.FlushTimedOut, discarded: 0,
            unacknowledged: result.UnacknowledgedBytes, result);
        AssertMissed(StuckReplyBytes - received, result.UnacknowledgedBytes);
    }

    [Fact]
    public async Task LingerTimedOut_PeerIsSilentAfterDelivery()
    {
        await using var server = await StartAsync(
            connection => connection.SendAsync(ReplyBytes), options => options.LingerIdleTimeout = Short);
        await using var peer = await server.ConnectAsync();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());

        AssertEqual(
            CloseReason.HandlerCompleted, CloseOutcome.LingerTimedOut, discarded: 0, unacknowledged: 0,
            await server.NextResultAsync());
        await peer.SendUntilResetAsync(); // The kernel's answer: nobody has the socket any more.
    }

    [Fact]
    public async Task LingerLimitExceeded_PeerSendsForEver()
    {
        const int limit = 300_000;
        await using var server =
            await StartAsync(connection => connection.SendAsync(ReplyBytes), options => options.MaxLingerBytes = limit);
        await using var peer = await server.ConnectAsync();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.StartUpload();
        await peer.UploadPassesOrEndsAsync(long.MaxValue);

        var result = await server.NextResultAsync();
        Assert.Equal(
            (CloseReason.HandlerCompleted, CloseOutcome.LingerLimitExceeded, 0),
            (result.Reason, result.Outcome, result.UnacknowledgedBytes));
        // One more than allowed, and at most what Kestrel's pipe holds.
        Assert.InRange(result.DiscardedBytes, limit + 1, limit + (1024 * 1024));
    }

    [Fact]
    public async Task LingerLimitExceeded_ExactlyTheLimit_IsGraceful()
    {
        const int limit = 300_000;
        await using var server =
            await StartAsync(connection => connection.SendAsync(ReplyBytes), options => options.MaxLingerBytes = limit);
        await using var peer = await server.ConnectAsync();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        await peer.SendAsync(new byte[limit]);
        peer.HalfClose();

        AssertEqual(
            CloseReason.HandlerCompleted, CloseOutcome.Graceful, discarded: limit, unacknowledged: 0,
            await server.NextResultAsync());
    }

    [Fact]
    public async Task LingerEvicted_OneTooMany_TheOldestGoes()
    {
        const int places = 2;
        var connections = Channel.CreateUnbounded<Task<CloseResult>>();
        await using var server = await StartAsync(
            connection =>
            {
                connections.Writer.TryWrite(connection.Graceful().Closed);
                return connection.SendAsync(ReplyBytes);
            },
            options => options.MaxLingeringConnections = places);
        var peers = new List<ScriptedPeer>();
        var closed = new List<Task<CloseResult>>();

        // Each eviction tells that its cause has its place. Who of the first few took theirs in which order nobody can
        // see.
        for (var count = 1; count <= 4 * places; count++)
        {
            var peer = await server.ConnectAsync();
            peers.Add(peer);
            Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
            Assert.True(connections.Reader.TryRead(out var ended));
            closed.Add(ended);
            if (count > places)
            {
                AssertEqual(
                    CloseReason.HandlerCompleted, CloseOutcome.LingerEvicted, discarded: 0, unacknowledged: 0,
                    await server.NextResultAsync());
            }

            if (count > 2 * places)
            {
                var evicted = count - places;
                Assert.All(closed.Take(evicted), task => Assert.True(task.IsCompleted));
                Assert.All(closed.Skip(evicted), task => Assert.False(task.IsCompleted));
                await peers[evicted - 1].SendUntilResetAsync();
            }
        }

        foreach (var peer in peers)
        {
            await peer.DisposeAsync();
        }

        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
    }

    [Fact]
    public async Task LingerEvicted_PlaceIsFreeAgainAfterAGracefulClose()
    {
        await using var server = await StartAsync(
            connection => connection.SendAsync(ReplyBytes), options => options.MaxLingeringConnections = 1);
        for (var count = 0; count < 3; count++)
        {
            await using var peer = await server.ConnectAsync();
            Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
            peer.HalfClose();
            Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
        }
    }

    [Fact]
    public async Task CloseTimedOut_PeerSendsForEver()
    {
        await using var server = await StartAsync(
            async connection =>
            {
                await connection.ReadExactlyAsync(1); // Of the peer's first send: what else is in it is discarded.
                await connection.SendAsync(ReplyBytes);
            },
            options => options.CloseTimeout = Short);
        await using var peer = await server.ConnectAsync();

        peer.StartUpload();
        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        await peer.UploadPassesOrEndsAsync(long.MaxValue);

        var result = await server.NextResultAsync();
        Assert.Equal(
            (CloseReason.HandlerCompleted, CloseOutcome.CloseTimedOut, 0),
            (result.Reason, result.Outcome, result.UnacknowledgedBytes));
        Assert.True(result.Duration >= Short, $"{result.Duration} is too early.");
        // The upload's last send was taken in part.
        Assert.InRange(result.DiscardedBytes, 1, peer.UploadedBytes + ScriptedPeer.UploadChunkBytes);
    }

    [Fact]
    public async Task CloseTimedOut_PeerNeverReads_TellsWhatItMissed()
    {
        await using var server = await StartAsync(
            connection =>
            {
                _ = connection.SendAsync(StuckReplyBytes);
                return Task.CompletedTask;
            },
            options =>
            {
                options.FlushStallTimeout = Timeout.InfiniteTimeSpan;
                options.CloseTimeout = Short;
            });
        await using var peer = await server.ConnectAsync();

        var result = await server.NextResultAsync();

        Assert.Equal(AbortLooksLike, await peer.AbortArrivesAsync());
        var (received, _) = await peer.ReadToEndAsync();
        AssertEqual(
            CloseReason.HandlerCompleted, CloseOutcome.CloseTimedOut, discarded: 0,
            unacknowledged: result.UnacknowledgedBytes, result);
        AssertMissed(StuckReplyBytes - received, result.UnacknowledgedBytes);
    }

    [Fact]
    public async Task Graceful_HandlerThrows()
    {
        await using var server = await StartAsync(SendThenThrowAsync);
        await using var peer = await server.ConnectAsync();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();

        AssertEqual(
            CloseReason.HandlerFaulted, CloseOutcome.Graceful, discarded: 0, unacknowledged: 0,
            await server.NextResultAsync());
    }

    [Fact]
    public async Task Aborted_HandlerThrowsWithAbortOnHandlerFault()
    {
        await using var server = await StartAsync(SendThenThrowAsync, options => options.AbortOnHandlerFault = true);
        await using var peer = await server.ConnectAsync();

        Assert.Equal((ReplyBytes, AbortLooksLike), await peer.ReadToEndAsync());

        AssertEqual(
            CloseReason.HandlerFaulted, CloseOutcome.Aborted, discarded: 0, unacknowledged: 0,
            await server.NextResultAsync());
    }

    [Fact]
    public async Task Aborted_OutputCompletedWithException()
    {
        await using var server = await StartAsync(async connection =>
        {
            await connection.ReadExactlyAsync(1);
            await connection.Transport.Output.CompleteAsync(new InvalidOperationException("The handler's own."));
        });
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[1]);

        Assert.Equal((0, AbortLooksLike), await peer.ReadToEndAsync());

        AssertEqual(
            CloseReason.HandlerFaulted, CloseOutcome.Aborted, discarded: 0, unacknowledged: 0,
            await server.NextResultAsync());
    }

    [Fact]
    public async Task Aborted_ByTheApplicationWhileServing()
    {
        await using var server = await StartAsync(async connection =>
        {
            await connection.SendAsync(ReplyBytes);
            await connection.ReadExactlyAsync(1);
            connection.Abort();
        });
        await using var peer = await server.ConnectAsync();
        await peer.ReadExactlyAsync(ReplyBytes);
        await peer.SendAsync(new byte[1]);

        Assert.Equal((0, AbortLooksLike), await peer.ReadToEndAsync());

        AssertEqual(
            CloseReason.HandlerCompleted, CloseOutcome.Aborted, discarded: 0,
            unacknowledged: KnowsUnacknowledgedAfterApplicationAbort ? 0 : null, await server.NextResultAsync());
    }

    [Fact]
    public async Task Aborted_ByTheApplicationWhileLingering()
    {
        var connected = new TaskCompletionSource<ConnectionContext>();
        await using var server = await StartAsync(async connection =>
        {
            await connection.SendAsync(ReplyBytes);
            connected.SetResult(connection);
        });
        await using var peer = await server.ConnectAsync();
        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        var lingering = await connected.Task.InTimeAsync();
        await Eventually.IsTrueAsync(() => lingering.Graceful().State == CloseState.Lingering);

        lingering.Abort();

        AssertEqual(
            CloseReason.HandlerCompleted, CloseOutcome.Aborted, discarded: 0, unacknowledged: 0,
            await server.NextResultAsync());
        await peer.SendUntilResetAsync();
    }

    private static async Task SendThenThrowAsync(ConnectionContext connection)
    {
        await connection.SendAsync(ReplyBytes);
        throw new InvalidOperationException("The handler's own.");
    }

    private void AssertMissed(long missed, long? unacknowledged)
    {
        if (!KnowsUnacknowledgedOfStuckSend)
        {
            Assert.Null(unacknowledged);
            return;
        }

        Assert.NotNull(unacknowledged);
        Assert.InRange(unacknowledged.Value, missed, missed + TestServer.LargestSend);
    }

    private protected static void AssertEqual(
        CloseReason reason, CloseOutcome outcome, long discarded, long? unacknowledged, CloseResult actual) =>
        Assert.Equal(new CloseResult { Reason = reason, Outcome = outcome, Duration = actual.Duration, DiscardedBytes = discarded, UnacknowledgedBytes = unacknowledged }, actual);
}
