using System.Diagnostics.Metrics;
using System.Net;
using GracefulConnections.FunctionalTests.Matrix;
using GracefulConnections.FunctionalTests.Support;
using GracefulConnections.FunctionalTests.Tls;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// Code of others that throws at every call about one of three connections. The others are served and closed, the host
/// stops, and no exception is left that nobody looked at.
/// </summary>
[Collection(SerialTests.Name)]
public class ThrowingForeignCodeTests
{
    [Fact]
    public async Task Logger_Throws_CostsItsConnectionAtMost()
    {
        using var unobserved = new UnobservedFaults();
        using var logs = new ThrowingLogs();
        await using (var server = await TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (_, endpoint) => endpoint
                .Use(next => connection =>
                {
                    logs.Choose(connection.ConnectionId);
                    return next(connection);
                })
                .UseGracefulShutdown(TestServer.BecomeQuietSoon)
                .Run(static connection => HandlerSteps.EchoAsync(connection)),
            builder =>
            {
                TestServer.AddPatientDrain(builder);
                builder.Logging.AddProvider(logs).SetMinimumLevel(LogLevel.Trace);
            }))
        {
            await using var victim = await server.ConnectAsync();
            await victim.SendAsync(new byte[1]);
            await Eventually.IsTrueAsync(() => logs.ThrowCount > 0 || victim.Socket.Available > 0);
            await ServeOthersThenStopAsync(server, () =>
            {
                victim.Reset();
                return Task.CompletedTask;
            });
        }

        Assert.NotEqual(0, logs.ThrowCount);
        Assert.Empty(unobserved.Faults);
    }

    [Fact]
    public async Task MeterListener_Throws_CostsItsConnectionAtMost()
    {
        using var unobserved = new UnobservedFaults();
        int throwCount;
        await using (var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync))
        {
            using var meters = new ThrowingMeters(server.Services.GetRequiredService<IMeterFactory>());
            meters.Throw(true);
            await using var victim = await server.ConnectAsync();
            await victim.SendAsync(new byte[1]);
            await Eventually.IsTrueAsync(() => meters.ThrowCount > 0);
            meters.Throw(false);
            await ServeOthersThenStopAsync(server, async () =>
            {
                var before = meters.ThrowCount;
                meters.Throw(true);
                victim.Reset();
                await Eventually.IsTrueAsync(() => meters.ThrowCount > before);
                meters.Throw(false);
            });
            throwCount = meters.ThrowCount;
        }

        Assert.NotEqual(0, throwCount);
        Assert.Empty(unobserved.Faults);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Transport_Throws_CostsItsConnectionAtMost(bool isStock)
    {
        using var unobserved = new UnobservedFaults();
        var pipes = new PipeTransport();
        await using (var server = await TestServer.StartAsync(
            pipes.EndPoint,
            (_, endpoint) =>
            {
                if (!isStock)
                {
                    endpoint.UseGracefulShutdown(TestServer.BecomeQuietSoon);
                }

                endpoint.Run(static connection => HandlerSteps.EchoAsync(connection));
            },
            builder =>
            {
                builder.Services.AddSingleton<IConnectionListenerFactory>(pipes);
                if (!isStock)
                {
                    TestServer.AddPatientDrain(builder);
                }
            }))
        {
            var idle = new PipeMatrixPeer(pipes.Connect());
            await EchoAsync(idle);
            pipes.Connect(new ThrowingConnection());
            var ending = new PipeMatrixPeer(pipes.Connect());
            await EchoAsync(ending);
            await ending.HalfCloseAsync(withCloseNotify: false);
            Assert.Equal((0, "FIN"), await ending.ReceiveToEndAsync());
            await EchoAsync(idle);
            if (isStock)
            {
                await idle.HalfCloseAsync(withCloseNotify: false); // Stock lets no idle connection go.
            }

            var stopping = server.StopAsync();
            Assert.Equal((0, "FIN"), await idle.ReceiveToEndAsync());
            await idle.HalfCloseAsync(withCloseNotify: false);
            await stopping;
        }

        Assert.Empty(unobserved.Faults);
    }

    // One that ends before the victim, one after it, and one that is idle when the host stops.
    private static async Task ServeOthersThenStopAsync(TestServer server, Func<Task> endVictim)
    {
        await using var idle = await server.ConnectAsync();
        await using var after = await server.ConnectAsync();
        await using (var before = await server.ConnectAsync())
        {
            await EchoThenEndAsync(before);
        }

        await endVictim();
        await EchoThenEndAsync(after);
        await EchoAsync(idle);
        var stopping = server.StopAsync();
        Assert.Equal((0, PeerSaw.Eof), await idle.ReadToEndAsync());
        idle.HalfClose();
        await stopping;
    }

    private static async Task EchoThenEndAsync(ScriptedPeer peer)
    {
        await EchoAsync(peer);
        peer.HalfClose();
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
    }

    private static async Task EchoAsync(ScriptedPeer peer)
    {
        await peer.SendAsync(new byte[1]);
        await peer.ReadExactlyAsync(1);
    }

    private static async Task EchoAsync(PipeMatrixPeer peer)
    {
        await peer.SendAsync(1);
        await peer.ReceiveExactlyAsync(1);
    }
}
