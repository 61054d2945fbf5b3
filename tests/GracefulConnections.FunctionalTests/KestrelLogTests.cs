using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests;

/// <summary>What the server logs: a connection's normal life is no error, a handler's fault is one.</summary>
public class KestrelLogTests
{
    private const int MessageBytes = 1000;

    [Fact]
    public Task Log_NormalClose_HasNothingAboveDebug() => AssertQuietAsync(
        connection => connection.SendAsync(MessageBytes),
        async peer => Assert.Equal((MessageBytes, PeerSaw.Eof), await peer.ReadToEndAsync()));

    [Fact]
    public Task Log_PeerClosesWithoutReading_HasNothingAboveDebug() => AssertQuietAsync(
        HandlerSteps.EchoAsync,
        peer => peer.SendAsync(new byte[MessageBytes]));

    [Fact]
    public Task Log_PeerResetsWhileTheHandlerReads_HasNothingAboveDebug() => AssertQuietAsync(
        HandlerSteps.EchoAsync,
        async peer =>
        {
            await peer.SendAsync(new byte[MessageBytes]);
            await peer.ReadExactlyAsync(MessageBytes);
            peer.Reset();
        });

    [Fact]
    public Task Log_PeerResetsWhileTheHandlerWrites_HasNothingAboveDebug() => AssertQuietAsync(
        async connection =>
        {
            // Does not look at the result of its write, as many do not: the read that follows must tell.
            await connection.SendAsync(12_000_000);
            await connection.ReadToEndAsync();
        },
        async peer =>
        {
            await peer.ReadExactlyAsync(MessageBytes);
            peer.Reset();
        });

    [Fact]
    public Task Log_PeerResetsWhileLingering_HasNothingAboveDebug() => AssertQuietAsync(
        connection => connection.SendAsync(MessageBytes),
        async peer =>
        {
            Assert.Equal((MessageBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
            peer.Reset();
        });

    [Fact]
    public Task Log_LingerTimesOut_HasNothingAboveDebug() => AssertQuietAsync(
        connection => connection.SendAsync(MessageBytes),
        async peer =>
        {
            Assert.Equal((MessageBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
            await peer.SendUntilResetAsync();
        },
        options => options.CloseTimeout = TimeSpan.FromMilliseconds(200));

    [Fact]
    public async Task Log_HandlerThrows_HasItsExceptionOnce()
    {
        using var log = new CapturedLog();
        var fault = new InvalidOperationException("The handler's own.");
        await using (var server = await StartAsync(log, async connection =>
        {
            await connection.ReadExactlyAsync(1);
            throw fault;
        }))
        {
            await using var peer = await server.ConnectAsync();
            await peer.SendAsync(new byte[1]);
            Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
            peer.HalfClose();
            Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
            await server.StopAsync();
        }

        var error = Assert.Single(log.Entries, entry => entry.Level >= LogLevel.Error);
        Assert.Same(fault, error.Exception);
        Assert.StartsWith("Microsoft.AspNetCore.Server.Kestrel", error.Category, StringComparison.Ordinal);
    }

    private static Task<TestServer> StartAsync(
        CapturedLog log, Func<ConnectionContext, Task> handler, Action<GracefulCloseOptions>? configure = null) =>
        TestServer.StartAsync(
            handler, configure, builder => builder.Logging.SetMinimumLevel(LogLevel.Trace).AddProvider(log));

    private static async Task AssertQuietAsync(
        Func<ConnectionContext, Task> handler, Func<ScriptedPeer, Task> act, Action<GracefulCloseOptions>? configure =
        null)
    {
        using var log = new CapturedLog();
        await using (var server = await StartAsync(log, handler, configure))
        {
            await using (var peer = await server.ConnectAsync())
            {
                await act(peer);
            }

            await server.NextResultAsync();
            await server.StopAsync(); // Kestrel has logged all it has to say of the connection.
        }

        Assert.Contains(
            log.Entries,
            entry => entry.Category == "GracefulConnections"
                && entry.Message.Contains(" closed: ", StringComparison.Ordinal));
        Assert.DoesNotContain(log.Entries, entry => entry.Level > LogLevel.Information);
        Assert.DoesNotContain(
            log.Entries,
            entry => entry.Level == LogLevel.Information
            && entry.Category.StartsWith("Microsoft.AspNetCore.Server.Kestrel", StringComparison.Ordinal));
    }
}
