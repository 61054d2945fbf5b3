using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>The last message of a connection that a drain ends: after everything else and before our FIN, and nobody's trouble but its own.</summary>
public class GoodbyeDrainTests
{
    private const int MessageBytes = 1000;
    private static readonly byte[] OfTheEndpoint = "The endpoint says goodbye."u8.ToArray();
    private static readonly byte[] OfTheHandler = "The handler says goodbye."u8.ToArray();

    public enum Trouble
    {
        None,
        HangsUntilCancelled,
        HangsForever,
        BlocksItsThread,
        Throws,
        ThrowsAfterAnAwait,
    }

    [Fact]
    public async Task Goodbye_IdleConnection_IsAllThePeerGetsBeforeOurFin()
    {
        var reasons = new List<CloseReason>();
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync, configure: options => options.Goodbye = (connection, reason, cancellationToken) =>
        {
            reasons.Add(reason);
            return SendAsync(connection, OfTheEndpoint, cancellationToken);
        });
        await using var peer = await server.ConnectTrackedAsync();

        var stopping = server.StopAndReportAsync();

        Assert.Equal(OfTheEndpoint, await ReadUntilFinAsync(peer));
        peer.HalfClose();
        Assert.Equal(1, (await stopping).DeliveredCount);
        Assert.Equal([CloseReason.HostStopping], reasons);
    }

    [Fact]
    public async Task Goodbye_BusyConnection_ComesAfterTheReply()
    {
        var busy = new TaskCompletionSource();
        var goOn = new TaskCompletionSource();
        await using var server = await TestServer.StartDrainingAsync(
            async connection =>
            {
                await connection.ReadExactlyAsync(1);
                busy.SetResult();
                await goOn.Task.InTimeAsync();
                await connection.SendAsync(MessageBytes);
                await connection.ReadToEndAsync();
            },
            configure: options => options.Goodbye = static (connection, _, cancellationToken) => SendAsync(connection, OfTheEndpoint, cancellationToken));
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[1]);
        await busy.Task.InTimeAsync();

        var stopping = server.StopAndReportAsync();
        await Eventually.IsTrueAsync(() => server.Drain.GetConnections() is [{ IsCloseRequested: true }]);
        goOn.SetResult();

        var received = await ReadUntilFinAsync(peer);
        Assert.Equal([.. new byte[MessageBytes], .. OfTheEndpoint], received);
        peer.HalfClose();
        Assert.Equal(1, (await stopping).DeliveredCount);
    }

    [Fact]
    public async Task Goodbye_OfHandlerAndEndpoint_AreBothSaidInThatOrder()
    {
        await using var server = await StartAsync<PoliteHandler>(static options =>
            options.Goodbye = static (connection, _, cancellationToken) => SendAsync(connection, OfTheEndpoint, cancellationToken));
        await using var peer = await server.ConnectTrackedAsync();

        var draining = server.DrainAsync();

        var received = await ReadUntilFinAsync(peer);
        Assert.Equal([.. OfTheHandler, .. OfTheEndpoint], received);
        peer.HalfClose();
        Assert.Equal(1, (await draining).DeliveredCount);
    }

    [Fact]
    public async Task Goodbye_PeerEndedByItself_IsNotSaid()
    {
        await using var server = await StartAsync<PoliteHandler>();
        await using var peer = await server.ConnectTrackedAsync();

        peer.HalfClose();

        Assert.Empty(await ReadUntilFinAsync(peer));
    }

    [Theory]
    [InlineData(Trouble.HangsUntilCancelled)]
    [InlineData(Trouble.HangsForever)]
    [InlineData(Trouble.BlocksItsThread)]
    [InlineData(Trouble.Throws)]
    [InlineData(Trouble.ThrowsAfterAnAwait)]
    public async Task Goodbye_InTrouble_CostsOnlyItsOwnConnection(Trouble trouble)
    {
        const int peerCount = 10;
        using var log = new CapturedLog();
        using var never = new ManualResetEventSlim();
        string? troubled = null;
        await using var server = await TestServer.StartDrainingAsync(
            HandlerSteps.EchoAsync,
            configure: options =>
            {
                // It counts for the nine others as well, which a busy machine may hold up for as long as 200 ms.
                options.GoodbyeTimeout = TimeSpan.FromSeconds(2);
                options.Goodbye = (connection, _, cancellationToken) =>
                    SayAsync(connection, connection.ConnectionId == troubled ? trouble : Trouble.None, never, cancellationToken);
            },
            build: builder => builder.Logging.AddProvider(log));
        var peers = new List<ScriptedPeer>();
        for (var i = 0; i < peerCount; i++)
        {
            peers.Add(await server.ConnectTrackedAsync());
        }

        troubled = server.Drain.GetConnections().Single(peers[0].IsPeerOf).ConnectionId;
        try
        {
            var stopping = server.StopAndReportAsync();

            foreach (var peer in peers)
            {
                Assert.Equal(peer == peers[0] ? [] : OfTheEndpoint, await ReadUntilFinAsync(peer));
                await peer.DisposeAsync();
            }

            Assert.Equal((peerCount, peerCount), ((await stopping).ConnectionCount, (await stopping).DeliveredCount));
            Assert.Contains($"\"{troubled}\": the goodbye", Assert.Single(log.Entries, static entry => entry.Level >= LogLevel.Warning).Message, StringComparison.Ordinal);
        }
        finally
        {
            never.Set();
            peers.ForEach(static peer => peer.Reset()); // Else a failed test waits for them as long as the server does.
        }
    }

    private static Task<TestServer> StartAsync<THandler>(Action<GracefulCloseOptions>? configure = null)
        where THandler : ConnectionHandler =>
        TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (_, endpoint) => endpoint.UseGracefulShutdown(configure ?? (static _ => { })).UseConnectionHandler<THandler>(),
            static builder => TestServer.AddPatientDrain(builder));

    private static async ValueTask SayAsync(ConnectionContext connection, Trouble trouble, ManualResetEventSlim never, CancellationToken cancellationToken)
    {
        switch (trouble)
        {
            case Trouble.HangsUntilCancelled:
                await Task.Delay(Timeout.Infinite, cancellationToken);
                break;
            case Trouble.HangsForever:
                await new TaskCompletionSource().Task;
                break;
            case Trouble.BlocksItsThread:
                never.Wait(CancellationToken.None);
                break;
            case Trouble.Throws:
                throw new InvalidOperationException("The goodbye's own.");
            case Trouble.ThrowsAfterAnAwait:
                await Task.Yield();
                throw new InvalidOperationException("The goodbye's own.");
            default:
                await SendAsync(connection, OfTheEndpoint, cancellationToken);
                break;
        }
    }

    private static async ValueTask SendAsync(ConnectionContext connection, byte[] message, CancellationToken cancellationToken) =>
        await connection.Transport.Output.WriteAsync(message, cancellationToken);

    private static async Task<byte[]> ReadUntilFinAsync(ScriptedPeer peer)
    {
        var received = new MemoryStream();
        var buffer = new byte[4096];
        while (await peer.ReceiveAsync(buffer) is > 0 and var count)
        {
            received.Write(buffer, 0, count);
        }

        return received.ToArray();
    }

    private sealed class PoliteHandler : GracefulConnectionHandler
    {
        protected override Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested) => HandlerSteps.EchoAsync(connection);

        protected override ValueTask SayGoodbyeAsync(ConnectionContext connection, CloseReason reason, CancellationToken cancellationToken) => SendAsync(connection, OfTheHandler, cancellationToken);
    }
}
