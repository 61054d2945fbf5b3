using System.Net.Security;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>
/// What bounds a drain: its cap on lingering, its deadline, and an operator or a host that has waited long enough.
/// </summary>
public class DrainDeadlineTests
{
    private const int MessageBytes = 1000;
    private const int StuckReplyBytes = 12_000_000; // More than both kernels hold.
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(200);

    [Fact]
    public async Task LingerIdleTimeout_PeerKeepsItsSideOpen_EndsLongBeforeTheEndpoints()
    {
        await using var server =
            await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync, drain => drain.LingerIdleTimeout = Short);
        await using var peer = await server.ConnectTrackedAsync();

        var report = await server.StopAndReportAsync();

        AssertOnly(CloseOutcome.LingerTimedOut, report);
        Assert.Empty(report.Aborted);
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
    }

    [Fact]
    public async Task LingerIdleTimeout_ConnectionLingersAlready_IsCappedToo()
    {
        await using var server = await TestServer.StartDrainingAsync(
            static connection => connection.SendAsync(MessageBytes), drain => drain.LingerIdleTimeout = Short);
        await using var peer = await server.ConnectAsync();
        Assert.Equal((MessageBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        await Eventually.IsTrueAsync(() => server.Drain.GetConnections() is [{ State: CloseState.Lingering }]);

        var report = await server.StopAndReportAsync();

        AssertOnly(CloseOutcome.LingerTimedOut, report);
        Assert.Equal(CloseReason.HandlerCompleted, (await server.NextResultAsync()).Reason);
    }

    // With both, the one inside of TLS waits for close_notify before the one around TLS waits for FIN.
    [Theory]
    [InlineData(TlsPlacement.Inside, false)]
    [InlineData(TlsPlacement.Inside, true)]
    [InlineData(TlsPlacement.Outside, false)]
    [InlineData(TlsPlacement.Outside, true)]
    [InlineData(TlsPlacement.Both, false)]
    [InlineData(TlsPlacement.Both, true)]
    public async Task LingerIdleTimeout_TlsPeerKeepsItsSideOpen_EndsLongBeforeTheEndpoints(
        TlsPlacement placement, bool lingersAlready)
    {
        await using var server = await TestServer.StartTlsAsync(
            placement,
            lingersAlready ? static connection => connection.SendAsync(MessageBytes) : HandlerSteps.EchoAsync,
            static options => options.LingerIdleTimeout = 2 * TestServer.TestLimit,
            build: static builder => TestServer.AddPatientDrain(builder, static drain => drain.LingerIdleTimeout = Short));
        await using var peer = await TlsPeer.ConnectAsync(server);
        if (lingersAlready)
        {
            await Eventually.IsTrueAsync(() => server.Drain.GetConnections() is [{ State: CloseState.Lingering }]);
        }

        var report = await server.StopAndReportAsync().InTimeAsync();

        AssertOnly(CloseOutcome.LingerTimedOut, report);
        Assert.Empty(report.Aborted);
        Assert.Equal(
            (lingersAlready ? MessageBytes : 0, placement == TlsPlacement.Outside ? TlsPeerSaw.Eof : TlsPeerSaw.CloseNotify),
            await peer.ReadToEndAsync());
    }

    // The one inside of TLS comes when the drain has asked already.
    [Fact]
    public async Task LingerIdleTimeout_HandshakeComesDuringTheStop_EndsLongBeforeTheEndpoints()
    {
        await using var server = await TestServer.StartTlsAsync(
            TlsPlacement.Both,
            HandlerSteps.EchoAsync,
            static options => options.LingerIdleTimeout = 2 * TestServer.TestLimit,
            build: static builder => TestServer.AddPatientDrain(builder, static drain => drain.LingerIdleTimeout = Short));
        await using var peer = await server.ConnectTrackedAsync();
        var stopping = server.StopAndReportAsync();
        await Eventually.IsTrueAsync(() => server.Drain.GetConnections() is [{ IsCloseRequested: true }]);

        await using var tls = new SslStream(new NetworkStream(peer.Socket));
        await tls.AuthenticateAsClientAsync(TestCertificate.TrustingOptions, CancellationToken.None).InTimeAsync();
        var report = await stopping.InTimeAsync();

        AssertOnly(CloseOutcome.LingerTimedOut, report);
        Assert.Equal(0, await tls.ReadAsync(new byte[1], CancellationToken.None).AsTask().InTimeAsync());
    }

    [Fact]
    public async Task LingerIdleTimeout_PeerAcknowledgesAndKeepsItsSideOpen_CountsAsDelivered()
    {
        await using var server = await TestServer.StartDrainingAsync(
            HandlerSteps.EchoAsync, configure: options => options.LingerUntil = LingerUntil.OutputAcknowledged);
        await using var peer = await server.ConnectTrackedAsync();

        var report = await server.StopAndReportAsync();

        AssertOnly(CloseOutcome.Acknowledged, report);
        Assert.Equal(1, report.DeliveredCount);
    }

    [Fact]
    public async Task DrainTimeout_WriteIsStuck_IsAbortedByUsAndTellsWhatWasLost()
    {
        using var log = new CapturedLog();
        await using var server = await TestServer.StartDrainingAsync(
            async connection =>
            {
                await connection.SendAsync(StuckReplyBytes);
                await connection.ReadToEndAsync();
            },
            drain => drain.DrainTimeout = Short,
            options => options.FlushStallTimeout = 2 * TestServer.TestLimit,
            builder => builder.Logging.SetMinimumLevel(LogLevel.Debug).AddProvider(log));
        await using var peer = await server.ConnectAsync(static socket => socket.ReceiveBufferSize = 64 * 1024);
        await Eventually.IsTrueAsync(() => server.Drain.GetConnections() is [{ IsPeerWindowClosed: true }]);

        var report = await server.StopAndReportAsync();

        AssertOnly(CloseOutcome.Aborted, report);
        var aborted = Assert.Single(report.Aborted);
        Assert.Equal(
            (CloseState.Open, true, StuckReplyBytes),
            (aborted.State, aborted.IsPeerWindowClosed, aborted.WrittenBytes));
        Assert.Equal((0, aborted.UnacknowledgedBytes), (report.UnendedHandlerCount, report.UnacknowledgedBytes));
        Assert.Equal(PeerSaw.Reset, await peer.AbortArrivesAsync());
        var (received, _) = await peer.ReadToEndAsync();
        var missed = StuckReplyBytes - received;
        Assert.InRange(report.UnacknowledgedBytes, missed, missed + TestServer.LargestSend);
        var warnings = log.Entries.Where(static entry => entry.Level >= LogLevel.Warning).ToArray();
        Assert.Equal(2, warnings.Length);
        Assert.StartsWith("The drain aborted 1 connection, ", warnings[0].Message, StringComparison.Ordinal);
        Assert.Contains(aborted.ConnectionId, warnings[0].Message, StringComparison.Ordinal);
        Assert.Contains(
            $"{report.UnacknowledgedBytes} bytes unacknowledged, ", warnings[1].Message, StringComparison.Ordinal);
        AssertKestrelAbortedNothing(log);
    }

    // A Unix domain socket's client chooses its own address, which is any text.
    [Fact]
    public async Task DrainTimeout_AddressOfThePeerHoldsALineBreak_StaysOneLine()
    {
        using var log = new CapturedLog();
        var name = $"graceful-{Guid.NewGuid():N}";
        var path = Path.Combine(Path.GetTempPath(), $"{name[..20]}\nwarn: \u001B[31mforged");
        await using var server = await TestServer.StartAsync(
            new UnixDomainSocketEndPoint(Path.Combine(Path.GetTempPath(), $"{name}-longer-than-the-peers.sock")),
            static (_, endpoint) => endpoint.UseGracefulShutdown().Run(static connection => connection.ReadToEndAsync()),
            builder =>
            {
                TestServer.AddPatientDrain(builder, static drain => drain.DrainTimeout = Short);
                builder.Services.Configure<GracefulCloseOptions>(
                    static options => options.CancelReadOnCloseRequest = false);
                builder.Logging.AddProvider(log);
            });
        try
        {
            using var peer = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            peer.Bind(new UnixDomainSocketEndPoint(path));
            await peer.ConnectAsync(server.EndPoint, TestContext.Current.CancellationToken);
            await Eventually.IsTrueAsync(() => server.Drain.ConnectionCount == 1);

            await server.StopAndReportAsync();
        }
        finally
        {
            File.Delete(path);
        }

        var told = log.Entries.Where(static entry => entry.Message.Contains("forged", StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(told);
        Assert.All(told, entry => Assert.Contains(@"\u000Awarn: \u001B[31mforged", entry.Message, StringComparison.Ordinal));
        Assert.All(told, entry => Assert.DoesNotContain(entry.Message, char.IsControl));
    }

    [Fact]
    public async Task DrainTimeout_ManyBusyAndManyIdle_AbortsTheBusyOnesOnly()
    {
        const int count = 20;
        using var log = new CapturedLog();
        await using var server = await TestServer.StartDrainingAsync(
            static connection => connection.ServeMessagesAsync(MessageBytes),
            drain => drain.DrainTimeout = 5 * Short,
            build: builder => builder.Logging.SetMinimumLevel(LogLevel.Debug).AddProvider(log));
        var peers = new List<ScriptedPeer>();
        for (var i = 0; i < 2 * count; i++)
        {
            peers.Add(await server.ConnectTrackedAsync());
        }

        foreach (var busy in peers[count..])
        {
            await busy.SendAsync(new byte[MessageBytes / 2]);
        }

        await Eventually.IsTrueAsync(
            () => server.Drain.GetConnections().Count(static connection => connection.Activity == ConnectionActivity.Busy) == count);
        var stopping = server.StopAndReportAsync();

        foreach (var idle in peers[..count])
        {
            Assert.Equal((0, PeerSaw.Eof), await idle.ReadToEndAsync());
            await idle.DisposeAsync();
        }

        foreach (var busy in peers[count..])
        {
            Assert.Equal((0, PeerSaw.Reset), await busy.ReadToEndAsync());
            await busy.DisposeAsync();
        }

        var report = await stopping;
        Assert.Equal(
            (2 * count, count, count),
            (report.ConnectionCount, report.Outcomes[CloseOutcome.Graceful], report.Outcomes[CloseOutcome.Aborted]));
        Assert.Equal((count, 0), (report.Aborted.Count, report.UnendedHandlerCount));
        AssertKestrelAbortedNothing(log);
    }

    // What a host does when its own timeout is over, whoever configured it.
    [Fact]
    public async Task Stop_TokenIsCancelled_AbortsNow()
    {
        using var patience = new CancellationTokenSource();
        await using var server = await TestServer.StartDrainingAsync(static _ => new TaskCompletionSource().Task);
        await using var peer = await server.ConnectTrackedAsync();
        var stopping = server.StopWhilePatientAsync(patience.Token);
        await Eventually.IsTrueAsync(() => server.Drain.GetConnections() is [{ IsCloseRequested: true }]);

        await patience.CancelAsync();

        Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());
        await stopping;
        AssertOnly(CloseOutcome.Aborted, await server.DrainAsync());
    }

    [Fact]
    public async Task Stop_TokenIsCancelledDuringTheAnnouncement_AbortsNow()
    {
        using var patience = new CancellationTokenSource();
        await using var server = await TestServer.StartDrainingAsync(
            HandlerSteps.EchoAsync, drain => drain.AnnounceDelay = 2 * TestServer.TestLimit);
        await using var peer = await server.ConnectTrackedAsync();
        var stopping = server.StopWhilePatientAsync(patience.Token);
        await Eventually.IsTrueAsync(() => server.Drain.Phase == DrainPhase.Announced);

        await patience.CancelAsync();

        Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());
        await stopping;
        AssertOnly(CloseOutcome.Aborted, await server.DrainAsync());
    }

    private static void AssertOnly(CloseOutcome outcome, DrainReport report) =>
        Assert.Equal(
            (1, new KeyValuePair<CloseOutcome, int>(outcome, 1)),
            (report.ConnectionCount, Assert.Single(report.Outcomes)));

    private static void AssertKestrelAbortedNothing(CapturedLog log) =>
        Assert.DoesNotContain(
            log.Entries,
            static entry => entry.Message.Contains("failed to close gracefully", StringComparison.OrdinalIgnoreCase)
            || entry.Message.Contains("failed to abort", StringComparison.OrdinalIgnoreCase));
}
