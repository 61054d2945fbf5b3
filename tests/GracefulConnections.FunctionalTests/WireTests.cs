using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests;

/// <summary>Which FINs and RSTs cross the wire, and in which order: what no socket API tells.</summary>
public class WireTests
{
    private const int ReplyBytes = 100_000;
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(200);

    [Fact]
    public async Task Close_NoUnreadInput_SendsOneFinEachWayAndNoReset()
    {
        await using var server = await TestServer.StartAsync(connection => connection.SendAsync(ReplyBytes));
        await using var capture = await WireCapture.StartAsync(server.Port);
        await using (var peer = await server.ConnectAsync())
        {
            Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        }

        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
        var wire = await capture.StopAsync();
        Assert.Equal(["server FIN", "peer FIN"], Endings(wire, server));
        Assert.True(wire.Sum(segment => segment.SourcePort == server.Port ? segment.PayloadBytes : 0) >= ReplyBytes);
    }

    [Fact]
    public async Task Close_PeerHalfClosedFirst_SendsOneFinEachWayAndNoReset()
    {
        await using var server = await TestServer.StartAsync(HandlerSteps.EchoAsync);
        await using var capture = await WireCapture.StartAsync(server.Port);
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[ReplyBytes]);
        peer.HalfClose();
        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());

        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
        Assert.Equal(["peer FIN", "server FIN"], Endings(await capture.StopAsync(), server));
    }

    [Fact]
    public async Task Close_PeerStillUploading_SendsNoReset()
    {
        await using var server = await TestServer.StartAsync(connection => connection.SendAsync(ReplyBytes));
        await using var capture = await WireCapture.StartAsync(server.Port);
        await using var peer = await server.ConnectAsync();
        peer.StartUpload();
        await peer.UploadPassesOrEndsAsync(4 * 1024 * 1024);
        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        await peer.StopUploadAsync();
        peer.HalfClose();

        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
        Assert.Equal(["server FIN", "peer FIN"], Endings(await capture.StopAsync(), server));
    }

    [Fact]
    public async Task HalfClose_HandlerCompletesItsOutput_SendsFinAndReadsOn()
    {
        const int uploadBytes = 50_000;
        var read = new TaskCompletionSource<long>();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            await connection.SendAsync(ReplyBytes);
            await connection.Transport.Output.CompleteAsync();
            read.SetResult(await connection.ReadToEndAsync());
        });
        await using var capture = await WireCapture.StartAsync(server.Port);
        await using var peer = await server.ConnectAsync();
        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        await peer.SendAsync(new byte[uploadBytes]);
        peer.HalfClose();

        Assert.Equal(uploadBytes, await read.Task.InTimeAsync());
        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
        var wire = await capture.StopAsync();
        Assert.Equal(["server FIN", "peer FIN"], Endings(wire, server));
        var afterFin = wire.SkipWhile(segment => !(segment.IsFin && segment.SourcePort == server.Port)).ToList();
        Assert.Equal(
            uploadBytes, afterFin.Sum(segment => segment.SourcePort == server.Port ? 0 : segment.PayloadBytes));
    }

    [Fact]
    public async Task Close_HandlerThrows_SendsOneFinEachWayAndNoReset()
    {
        await using var server = await TestServer.StartAsync(SendThenThrowAsync);
        await using var capture = await WireCapture.StartAsync(server.Port);
        await using (var peer = await server.ConnectAsync())
        {
            Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        }

        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
        Assert.Equal(["server FIN", "peer FIN"], Endings(await capture.StopAsync(), server));
    }

    [Fact]
    public async Task Abort_HandlerThrowsWithAbortOnHandlerFault_SendsResetInsteadOfFin()
    {
        await using var server = await TestServer.StartAsync(
            SendThenThrowAsync, options => options.AbortOnHandlerFault = true);
        await using var capture = await WireCapture.StartAsync(server.Port);
        await using var peer = await server.ConnectAsync();
        Assert.Equal((ReplyBytes, PeerSaw.Reset), await peer.ReadToEndAsync());

        Assert.Equal(CloseOutcome.Aborted, (await server.NextResultAsync()).Outcome);
        Assert.Equal(["server RST"], Endings(await capture.StopAsync(), server));
    }

    [Fact]
    public async Task Abort_ApplicationWhileServing_SendsResetInsteadOfFin()
    {
        await using var server = await TestServer.StartAsync(async connection =>
        {
            await connection.ReadExactlyAsync(1);
            connection.Abort();
        });
        await using var capture = await WireCapture.StartAsync(server.Port);
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[1]);
        Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());

        Assert.Equal(CloseOutcome.Aborted, (await server.NextResultAsync()).Outcome);
        Assert.Equal(["server RST"], Endings(await capture.StopAsync(), server));
    }

    [Fact]
    public async Task Abort_FlushStall_SendsResetInsteadOfFin()
    {
        await using var server = await TestServer.StartAsync(
            connection =>
            {
                _ = connection.SendAsync(12_000_000); // More than both kernels hold.
                return Task.CompletedTask;
            },
            options => options.FlushStallTimeout = Short);
        await using var capture = await WireCapture.StartAsync(server.Port);
        await using var peer = await server.ConnectAsync();

        Assert.Equal(CloseOutcome.FlushTimedOut, (await server.NextResultAsync()).Outcome);

        // A process that another test starts right now holds our descriptors until its program runs, and the RST back.
        Assert.Equal(PeerSaw.Reset, (await peer.ReadToEndAsync()).End);

        // To data that another processor brings to it a moment later than our RST, the peer's kernel answers with its
        // own. Before ours there is none, and no FIN at all.
        var endings = Endings(await capture.StopAsync(), server);
        Assert.Equal("server RST", endings[0]);
        Assert.All(endings.Skip(1), static ending => Assert.Equal("peer RST", ending));
    }

    [Fact]
    public async Task LingerTimeout_PeerIsSilent_SendsNothingBehindFin()
    {
        await using var server = await TestServer.StartAsync(
            connection => connection.SendAsync(ReplyBytes), options => options.LingerIdleTimeout = Short);
        await using var capture = await WireCapture.StartAsync(server.Port);
        await using var peer = await server.ConnectAsync();
        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());

        Assert.Equal(CloseOutcome.LingerTimedOut, (await server.NextResultAsync()).Outcome);
        await server.SocketsClosedAsync();
        Assert.Equal(["server FIN"], Endings(await capture.StopAsync(), server));
    }

    [Fact]
    public async Task LingerLimit_PeerStillUploading_AnswersWithResetBehindFin()
    {
        await using var server = await TestServer.StartAsync(
            connection => connection.SendAsync(ReplyBytes), options => options.MaxLingerBytes = 0);
        await using var capture = await WireCapture.StartAsync(server.Port);
        await using var peer = await server.ConnectAsync();
        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.StartUpload();

        Assert.Equal(CloseOutcome.LingerLimitExceeded, (await server.NextResultAsync()).Outcome);
        await peer.UploadPassesOrEndsAsync(long.MaxValue);
        Assert.Equal(["server FIN", "server RST"], Endings(await capture.StopAsync(), server));
    }

    [Fact]
    public async Task Eviction_PeerIsSilent_SendsNothingBehindFin()
    {
        await using var server = await TestServer.StartAsync(
            connection => connection.SendAsync(ReplyBytes), options => options.MaxLingeringConnections = 1);
        await using var capture = await WireCapture.StartAsync(server.Port);
        await using var first = await server.ConnectAsync();
        Assert.Equal((ReplyBytes, PeerSaw.Eof), await first.ReadToEndAsync());
        await using var second = await server.ConnectAsync();
        Assert.Equal((ReplyBytes, PeerSaw.Eof), await second.ReadToEndAsync());

        Assert.Equal(CloseOutcome.LingerEvicted, (await server.NextResultAsync()).Outcome);
        await Eventually.IsTrueAsync(() => KernelSocket.OnPort(server.Port)
            .Any(socket => socket is { State: KernelSocket.FinWait2, HasDescriptor: false }));
        Assert.Equal(["server FIN", "server FIN"], Endings(await capture.StopAsync(), server));
    }

    [Fact]
    public async Task CloseTimeout_PeerIsSilent_SendsNothingBehindFin()
    {
        await using var server = await TestServer.StartAsync(
            connection => connection.SendAsync(ReplyBytes), options => options.CloseTimeout = Short);
        await using var capture = await WireCapture.StartAsync(server.Port);
        await using var peer = await server.ConnectAsync();
        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());

        Assert.Equal(CloseOutcome.CloseTimedOut, (await server.NextResultAsync()).Outcome);
        await server.SocketsClosedAsync();
        Assert.Equal(["server FIN"], Endings(await capture.StopAsync(), server));
    }

    [Fact]
    public async Task Abort_ApplicationWhileLingering_SendsResetAfterFin()
    {
        var connected = new TaskCompletionSource<ConnectionContext>();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            await connection.SendAsync(ReplyBytes);
            connected.SetResult(connection);
        });
        await using var capture = await WireCapture.StartAsync(server.Port);
        await using var peer = await server.ConnectAsync();
        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());

        (await connected.Task.InTimeAsync()).Abort();

        Assert.Equal(CloseOutcome.Aborted, (await server.NextResultAsync()).Outcome);
        Assert.Equal(["server FIN", "server RST"], Endings(await capture.StopAsync(), server));
    }

    private static async Task SendThenThrowAsync(ConnectionContext connection)
    {
        await connection.SendAsync(ReplyBytes);
        throw new InvalidOperationException("The handler's own.");
    }

    // One entry for each FIN, sent again or not, and for each RST. A FIN that is sent again may come behind data in one
    // segment, so it is known by its own number. A kernel that has nothing left of a connection may answer more than one
    // segment with RST; one is enough to know.
    private static List<string> Endings(IEnumerable<Segment> wire, TestServer server)
    {
        List<Segment> endings = [.. wire.Where(segment => segment.IsFin || segment.IsReset)];
        endings.ForEach(segment => TestContext.Current.TestOutputHelper?.WriteLine($"{segment}")); // Shown where it fails.
        return [.. endings
            .DistinctBy(segment => (
                segment.SourcePort,
                segment.DestinationPort,
                segment.IsReset,
                unchecked(segment.Sequence + (uint)segment.PayloadBytes)))
            .Select(segment =>
                $"{(segment.SourcePort == server.Port ? "server" : "peer")} {(segment.IsReset ? "RST" : "FIN")}")];
    }
}
