using System.Net;
using System.Net.Security;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// Handlers inside of TLS that use the TLS stream themselves, beside the connection's own reader and writer. Kestrel
/// offers it as a feature, and its flush ends when the stream has taken everything.
/// </summary>
public class OwnTlsStreamTests
{
    private const int PartBytes = 1_000_000;
    private const int Parts = 12; // More than both kernels hold.

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ShutdownAsync_BehindAFlush_EverythingArrivesBeforeCloseNotify(bool isStock)
    {
        var played = await PlayAsync(isStock, static async connection =>
        {
            await SendPartsAsync(connection, static _ => ValueTask.CompletedTask);
            await TlsOf(connection).ShutdownAsync();
        });

        Assert.Equal((Parts * PartBytes, TlsPeerSaw.CloseNotify), played.Peer);
        AssertWhole(played.Close, CloseOutcome.Graceful);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task WriteAsync_BehindEachFlush_EverythingArrives(bool isStock)
    {
        var played = await PlayAsync(isStock, static connection => SendPartsAsync(
            connection, static tls => tls.WriteAsync(new byte[1])));

        Assert.Equal((Parts * (PartBytes + 1), isStock ? TlsPeerSaw.Eof : TlsPeerSaw.CloseNotify), played.Peer);
        AssertWhole(played.Close, CloseOutcome.Graceful);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task DisposeAsync_BehindAFlush_EverythingArrivesThenFin(bool isStock)
    {
        var played = await PlayAsync(isStock, static async connection =>
        {
            await SendPartsAsync(connection, static _ => ValueTask.CompletedTask);
            await TlsOf(connection).DisposeAsync();
        });

        Assert.Equal((Parts * PartBytes, TlsPeerSaw.Eof), played.Peer);
        AssertWhole(played.Close, CloseOutcome.Acknowledged);
    }

    // As a handler does that completes its output by whatever ended its loop. A missing close_notify tells the peer.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task OutputCompletedWithAnException_BehindAFlush_EverythingArrivesThenFin(bool isStock)
    {
        var played = await PlayAsync(isStock, static async connection =>
        {
            await SendPartsAsync(connection, static _ => ValueTask.CompletedTask);
            await connection.Transport.Output.CompleteAsync(new InvalidOperationException("The handler fails."));
        });

        Assert.Equal((Parts * PartBytes, TlsPeerSaw.Eof), played.Peer);
        if (played.Close is { } close)
        {
            Assert.Equal((CloseReason.HandlerFaulted, CloseOutcome.Acknowledged), (close.Reason, close.Outcome));
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ReadAsync_IsPendingAtTheReturn_EverythingArrives(bool isStock)
    {
        var reading = new TaskCompletionSource<Task>(TaskCreationOptions.RunContinuationsAsynchronously);
        var played = await PlayAsync(isStock, connection =>
        {
            reading.SetResult(TlsOf(connection).ReadAsync(new byte[1]).AsTask());
            return SendPartsAsync(connection, static _ => ValueTask.CompletedTask);
        });

        Assert.Equal((Parts * PartBytes, isStock ? TlsPeerSaw.Eof : TlsPeerSaw.CloseNotify), played.Peer);

        // Whose read the peer's end goes to, the handler's or the library's, nobody decides.
        AssertWhole(played.Close, CloseOutcome.LingerTimedOut, CloseOutcome.Graceful);
        var read = await reading.Task.InTimeAsync();
        await Task.WhenAny(read).InTimeAsync();
        _ = read.Exception; // How it ended is the runtime's matter.
    }

    private static SslStream TlsOf(ConnectionContext connection) => connection.Features.Get<SslStream>()!;

    private static async Task SendPartsAsync(ConnectionContext connection, Func<SslStream, ValueTask> afterEach)
    {
        for (var i = 0; i < Parts; i++)
        {
            await connection.SendAsync(PartBytes);
            await afterEach(TlsOf(connection));
        }
    }

    private static void AssertWhole(CloseResult? close, params CloseOutcome[] expected)
    {
        if (close is { } result)
        {
            Assert.Contains(result.Outcome, expected);
            Assert.Equal((CloseReason.HandlerCompleted, 0L), (result.Reason, result.UnacknowledgedBytes));
        }
    }

    private static async Task<((long Bytes, TlsPeerSaw End) Peer, CloseResult? Close)> PlayAsync(
        bool isStock, Func<ConnectionContext, Task> handler)
    {
        await using var server = isStock
            ? await TestServer.StartAsync(
                new IPEndPoint(IPAddress.Loopback, 0),
                (_, endpoint) => endpoint.UseHttps(TestCertificate.Server).Run(connection => handler(connection)))
            : await TestServer.StartTlsAsync(
                TlsPlacement.Inside, handler, static options => options.LingerIdleTimeout = TimeSpan.FromSeconds(1));
        await using var peer = await TlsPeer.ConnectAsync(server, configure: static socket => socket.ReceiveBufferSize = 64 * 1024);
        await Pace.PauseAsync(Pace.HalfMessage); // The handler is blocked in a flush.
        var saw = await peer.ReadToEndAsync();
        peer.Tcp.HalfClose();
        return (saw, isStock ? null : await server.NextResultAsync());
    }
}
