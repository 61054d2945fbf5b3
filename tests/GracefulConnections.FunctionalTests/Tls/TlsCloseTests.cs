using System.Security.Authentication;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>The close inside, outside and on both sides of TLS, with every kind of peer.</summary>
[Collection(SerialTests.Name)]
public class TlsCloseTests
{
    private const int ReplyBytes = 1_500_000;
    private const int StuckReplyBytes = 12_000_000; // More than both kernels hold.
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(200);

    public static TheoryData<TlsPlacement> Placements => [TlsPlacement.Inside, TlsPlacement.Outside, TlsPlacement.Both];

    public static TheoryData<TlsPlacement> WithCloseNotify => [TlsPlacement.Inside, TlsPlacement.Both];

    public static TheoryData<TlsPlacement, SslProtocols> PlacementsAndProtocols => new()
    {
        { TlsPlacement.Inside, SslProtocols.Tls12 },
        { TlsPlacement.Inside, SslProtocols.Tls13 },
        { TlsPlacement.Outside, SslProtocols.Tls12 },
        { TlsPlacement.Outside, SslProtocols.Tls13 },
        { TlsPlacement.Both, SslProtocols.Tls12 },
        { TlsPlacement.Both, SslProtocols.Tls13 },
    };

    [Theory]
    [MemberData(nameof(PlacementsAndProtocols))]
    public async Task ServerEnds_PeerAnswersWithItsOwnEnd_IsGraceful(TlsPlacement placement, SslProtocols protocol)
    {
        await using var server = await StartAsync(placement, connection => connection.SendAsync(ReplyBytes));
        await using var peer = await TlsPeer.ConnectAsync(server, protocol);

        Assert.Equal((ReplyBytes, EndOf(placement)), await peer.ReadToEndAsync());
        if (placement == TlsPlacement.Outside)
        {
            peer.Tcp.HalfClose(); // There is no close_notify to answer.
        }
        else
        {
            await peer.SendCloseNotifyAsync();
        }

        if (placement == TlsPlacement.Both)
        {
            Assert.Equal((0, PeerSaw.Eof), await peer.Tcp.ReadToEndAsync()); // TCP has an end of its own.
            peer.Tcp.HalfClose();
        }

        await AssertResultAsync(server, CloseReason.HandlerCompleted, CloseOutcome.Graceful);
        Assert.Equal((0, PeerSaw.Eof), await peer.Tcp.ReadToEndAsync());
    }

    [Theory]
    [MemberData(nameof(PlacementsAndProtocols))]
    public async Task ServerEnds_PeerStillUploading_GetsEveryByte(TlsPlacement placement, SslProtocols protocol)
    {
        await using var server = await StartAsync(placement, connection => connection.SendAsync(ReplyBytes));
        await using var peer = await TlsPeer.ConnectAsync(server, protocol);
        using var enough = new CancellationTokenSource();
        var uploading = peer.UploadAsync(enough.Token);

        Assert.Equal((ReplyBytes, EndOf(placement)), await peer.ReadToEndAsync());

        await enough.CancelAsync();
        await uploading.InTimeAsync();
        peer.Tcp.HalfClose();
        var result = await server.NextResultAsync();
        Assert.Equal(
            (CloseReason.HandlerCompleted, CloseOutcome.Graceful, 0L),
            (result.Reason, result.Outcome, result.UnacknowledgedBytes));
        Assert.NotEqual(0, result.DiscardedBytes);
    }

    [Theory]
    [MemberData(nameof(WithCloseNotify))]
    public async Task ServerEnds_PeerSendsAfterCloseNotify_IsDiscarded(TlsPlacement placement)
    {
        const int lateBytes = 300_000;
        await using var server = await StartAsync(placement, connection => connection.SendAsync(ReplyBytes));
        await using var peer = await TlsPeer.ConnectAsync(server);
        Assert.Equal((ReplyBytes, TlsPeerSaw.CloseNotify), await peer.ReadToEndAsync());

        await peer.SendAsync(new byte[lateBytes]);
        await peer.SendCloseNotifyAsync();
        peer.Tcp.HalfClose();

        var result = await server.NextResultAsync();
        Assert.Equal((CloseOutcome.Graceful, lateBytes), (result.Outcome, result.DiscardedBytes));
        Assert.Equal((0, PeerSaw.Eof), await peer.Tcp.ReadToEndAsync());
    }

    [Theory]
    [MemberData(nameof(Placements))]
    public async Task ServerEnds_PeerNeverAnswers_EndsAfterLingerIdleTimeout(TlsPlacement placement)
    {
        await using var server = await StartAsync(
            placement, connection => connection.SendAsync(ReplyBytes), options => options.LingerIdleTimeout = Short);
        await using var peer = await TlsPeer.ConnectAsync(server);

        Assert.Equal((ReplyBytes, EndOf(placement)), await peer.ReadToEndAsync());

        await AssertResultAsync(server, CloseReason.HandlerCompleted, CloseOutcome.LingerTimedOut);
        await peer.Tcp.SendUntilResetAsync();
    }

    [Fact]
    public async Task ServerEnds_Both_PeerAnswersCloseNotifyAndStays_EndsAfterLingerIdleTimeout()
    {
        await using var server = await StartAsync(
            TlsPlacement.Both, connection => connection.SendAsync(ReplyBytes),
            options => options.LingerIdleTimeout = Short);
        await using var peer = await TlsPeer.ConnectAsync(server);

        Assert.Equal((ReplyBytes, TlsPeerSaw.CloseNotify), await peer.ReadToEndAsync());
        await peer.SendCloseNotifyAsync();

        await AssertResultAsync(server, CloseReason.HandlerCompleted, CloseOutcome.LingerTimedOut);
        await peer.Tcp.SendUntilResetAsync();
    }

    [Fact]
    public async Task ServerEnds_Inside_PeerAnswersCloseNotifyAndStays_EndsAtOnce()
    {
        await using var server = await StartAsync(TlsPlacement.Inside, connection => connection.SendAsync(ReplyBytes));
        await using var peer = await TlsPeer.ConnectAsync(server);

        Assert.Equal((ReplyBytes, TlsPeerSaw.CloseNotify), await peer.ReadToEndAsync());
        await peer.SendCloseNotifyAsync();

        await AssertResultAsync(server, CloseReason.HandlerCompleted, CloseOutcome.Graceful);
        Assert.Equal((0, PeerSaw.Eof), await peer.Tcp.ReadToEndAsync());
    }

    [Theory]
    [MemberData(nameof(Placements))]
    public async Task ServerEnds_PeerAnswersWithFinOnly_IsGraceful(TlsPlacement placement)
    {
        await using var server = await StartAsync(placement, connection => connection.SendAsync(ReplyBytes));
        await using var peer = await TlsPeer.ConnectAsync(server);

        Assert.Equal((ReplyBytes, EndOf(placement)), await peer.ReadToEndAsync());
        peer.Tcp.HalfClose();

        await AssertResultAsync(server, CloseReason.HandlerCompleted, CloseOutcome.Graceful);
        Assert.Equal((0, PeerSaw.Eof), await peer.Tcp.ReadToEndAsync());
    }

    [Theory]
    [MemberData(nameof(Placements))]
    public async Task PeerEndsFirst_ByCloseNotifyAndFin_GetsTheReplyAndCloseNotify(TlsPlacement placement)
    {
        const int requestBytes = 40_000;
        await using var server = await StartAsync(placement, async connection =>
        {
            Assert.Equal(requestBytes, await connection.ReadToEndAsync());
            await connection.SendAsync(ReplyBytes);
        });
        await using var peer = await TlsPeer.ConnectAsync(server);

        await peer.SendAsync(new byte[requestBytes]);
        await peer.SendCloseNotifyAsync();
        peer.Tcp.HalfClose();

        Assert.Equal((ReplyBytes, EndOf(placement)), await peer.ReadToEndAsync());
        await AssertResultAsync(server, CloseReason.HandlerCompleted, CloseOutcome.Graceful);
        Assert.Equal((0, PeerSaw.Eof), await peer.Tcp.ReadToEndAsync());
    }

    [Theory]
    [MemberData(nameof(Placements))]
    public async Task PeerEndsFirst_AndIsGone_IsGraceful(TlsPlacement placement)
    {
        // Most programs close their socket behind close_notify, and answer ours with RST. Nothing of the handler's was
        // lost by it.
        await using var server = await StartAsync(placement, async connection =>
        {
            await connection.SendAsync(100);
            await connection.ReadToEndAsync();
        });
        await using (var peer = await TlsPeer.ConnectAsync(server))
        {
            await peer.ReadExactlyAsync(100);
            await peer.SendCloseNotifyAsync();
        }

        await AssertResultAsync(server, CloseReason.HandlerCompleted, CloseOutcome.Graceful);
    }

    [Theory]
    [MemberData(nameof(Placements))]
    public async Task PeerResets_WhileLingering_IsPeerReset(TlsPlacement placement)
    {
        await using var server = await StartAsync(placement, connection => connection.SendAsync(ReplyBytes));
        await using var peer = await TlsPeer.ConnectAsync(server);

        Assert.Equal((ReplyBytes, EndOf(placement)), await peer.ReadToEndAsync());
        peer.Tcp.Reset();

        var result = await server.NextResultAsync();
        Assert.Equal((CloseReason.HandlerCompleted, CloseOutcome.PeerReset), (result.Reason, result.Outcome));
    }

    [Theory]
    [MemberData(nameof(Placements))]
    public async Task PeerResets_WhileTheHandlerReads_IsPeerReset(TlsPlacement placement)
    {
        await using var server = await StartAsync(placement, async connection =>
        {
            await connection.SendAsync(1);
            await connection.ReadToEndAsync();
        });
        await using var peer = await TlsPeer.ConnectAsync(server);
        // The end of its handshake would be thrown away with what else the kernel holds, and no handler would run.
        await peer.ReadExactlyAsync(1);

        peer.Tcp.Reset();

        var result = await server.NextResultAsync();
        Assert.Equal((CloseReason.PeerReset, CloseOutcome.PeerReset), (result.Reason, result.Outcome));
    }

    [Theory]
    [MemberData(nameof(Placements))]
    public async Task PeerStopsReading_IsAbortedAfterFlushStallTimeout(TlsPlacement placement)
    {
        await using var server = await StartAsync(
            placement,
            connection =>
            {
                _ = connection.SendAsync(StuckReplyBytes);
                return Task.CompletedTask;
            },
            options => options.FlushStallTimeout = Short);
        await using var peer =
            await TlsPeer.ConnectAsync(server, configure: socket => socket.ReceiveBufferSize = 64 * 1024);

        var result = await server.NextResultAsync();

        Assert.Equal((CloseReason.HandlerCompleted, CloseOutcome.FlushTimedOut), (result.Reason, result.Outcome));
        Assert.NotEqual(0, result.UnacknowledgedBytes);
        var (bytes, end) = await peer.ReadToEndAsync();
        Assert.Equal(TlsPeerSaw.Reset, end); // An abort looks like one: nobody can take the part for the whole.
        Assert.InRange(bytes, 0, StuckReplyBytes - 1);
    }

    // A limit is no abort: close_notify is in the kernel behind all of it, which delivers on.
    [Theory]
    [MemberData(nameof(Placements))]
    public async Task PeerPausesForLongerThanFlushStallTimeout_KernelHasTheReply_PeerGetsAllOfIt(TlsPlacement placement)
    {
        const int replyBytes = 500_000;
        await using var server = await StartAsync(
            placement,
            connection =>
            {
                connection.Features.Get<IConnectionSocketFeature>()!.Socket.SendBufferSize = 2 * replyBytes;
                return connection.SendAsync(replyBytes);
            },
            options => options.FlushStallTimeout = TimeSpan.FromSeconds(1));
        await using var peer =
            await TlsPeer.ConnectAsync(server, configure: socket => socket.ReceiveBufferSize = 64 * 1024);

        var result = await server.NextResultAsync();

        Assert.Equal(CloseOutcome.FlushTimedOut, result.Outcome);
        var (bytes, end) = await peer.ReadToEndAsync();
        Assert.Equal(replyBytes, bytes);
        Assert.NotEqual(TlsPeerSaw.Reset, end);
    }

    [Theory]
    [MemberData(nameof(Placements))]
    public async Task HandlerThrows_WithAbortOnHandlerFault_PeerGetsEverythingAndSeesReset(TlsPlacement placement)
    {
        await using var server = await StartAsync(
            placement,
            async connection =>
            {
                await connection.SendAsync(100);
                throw new InvalidOperationException("A part of a reply.");
            },
            options => options.AbortOnHandlerFault = true);
        await using var peer = await TlsPeer.ConnectAsync(server);

        Assert.Equal((100, TlsPeerSaw.Reset), await peer.ReadToEndAsync());
        var result = await server.NextResultAsync();
        Assert.Equal((CloseReason.HandlerFaulted, CloseOutcome.Aborted), (result.Reason, result.Outcome));
    }

    [Theory]
    [MemberData(nameof(Placements))]
    public async Task HandlerThrows_PeerGetsEverythingAndTheEnd(TlsPlacement placement)
    {
        await using var server = await StartAsync(
            placement,
            async connection =>
            {
                await connection.SendAsync(100);
                throw new InvalidOperationException("A whole reply, and then something else.");
            });
        await using var peer = await TlsPeer.ConnectAsync(server);

        // As on stock: close_notify would say that the reply is complete.
        Assert.Equal((100, TlsPeerSaw.Eof), await peer.ReadToEndAsync());
        peer.Tcp.HalfClose();
        await AssertResultAsync(
            server,
            CloseReason.HandlerFaulted,
            placement == TlsPlacement.Inside ? CloseOutcome.Acknowledged : CloseOutcome.Graceful);
        Assert.Equal((0, PeerSaw.Eof), await peer.Tcp.ReadToEndAsync());
    }

    [Theory]
    [MemberData(nameof(WithCloseNotify))]
    public async Task HandlerCompletesItsOutput_PeerSeesCloseNotify_AndIsStillRead(TlsPlacement placement)
    {
        const int lateBytes = 300_000;
        var read = new TaskCompletionSource<long>();
        await using var server = await StartAsync(placement, async connection =>
        {
            await connection.SendAsync(100);
            await connection.Transport.Output.CompleteAsync();
            read.SetResult(await connection.ReadToEndAsync());
        });
        await using var peer = await TlsPeer.ConnectAsync(server);

        Assert.Equal((100, TlsPeerSaw.CloseNotify), await peer.ReadToEndAsync());
        await peer.SendAsync(new byte[lateBytes]);
        await peer.SendCloseNotifyAsync();
        peer.Tcp.HalfClose();

        Assert.Equal(lateBytes, await read.Task.InTimeAsync());
        await AssertResultAsync(server, CloseReason.HandlerCompleted, CloseOutcome.Graceful);
    }

    [Theory]
    [MemberData(nameof(Placements))]
    public async Task ClientCertificate_Required_MakesNoDifference(TlsPlacement placement)
    {
        await using var server = await StartAsync(placement, connection => connection.SendAsync(ReplyBytes), tls: tls =>
        {
            tls.ClientCertificateMode = ClientCertificateMode.RequireCertificate;
            tls.AllowAnyClientCertificate();
        });
        await using var peer = await TlsPeer.ConnectAsync(
            server, authenticate: options => options.ClientCertificates = [TestCertificate.Client]);

        Assert.Equal((ReplyBytes, EndOf(placement)), await peer.ReadToEndAsync());
        peer.Tcp.HalfClose();
        await AssertResultAsync(server, CloseReason.HandlerCompleted, CloseOutcome.Graceful);
    }

    private static Task<TestServer> StartAsync(
        TlsPlacement placement, Func<ConnectionContext, Task> handler, Action<GracefulCloseOptions>? configure =
            null, Action<HttpsConnectionAdapterOptions>? tls = null) =>
        TestServer.StartTlsAsync(
            placement,
            handler,
            options =>
            {
                options.LingerIdleTimeout = 2 * TestServer.TestLimit; // A slow machine is no silent peer.
                configure?.Invoke(options);
            },
            tls);

    private static TlsPeerSaw EndOf(TlsPlacement placement) =>
        placement == TlsPlacement.Outside ? TlsPeerSaw.Eof : TlsPeerSaw.CloseNotify;

    private static async Task AssertResultAsync(TestServer server, CloseReason reason, CloseOutcome outcome)
    {
        var result = await server.NextResultAsync();
        Assert.Equal((reason, outcome, 0L), (result.Reason, result.Outcome, result.UnacknowledgedBytes));
    }
}
