using System.Net;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>
/// Idle peers that were unplugged: nobody answers our FIN, and a stop must not wait for TCP to find out. All times are
/// the defaults.
/// </summary>
[Collection(SerialTests.Name)]
public class VanishedIdlePeerTests(ITestOutputHelper output)
{
    private const int PeerCount = 20;

    private static readonly TimeSpan LingerIdleTimeout = new ServerDrainOptions().LingerIdleTimeout;
    private static readonly TimeSpan QuietTime = new GracefulCloseOptions().QuietTime;

    // Far less than FlushStallTimeout and DrainTimeout, which would end the connections otherwise.
    private static readonly TimeSpan Slack = TimeSpan.FromSeconds(0.9);

    [Fact]
    public Task Stop_PeersWereSilentBefore_EndsWithTheDrainsLinger() =>
        AssertEndsAsync(static server => Eventually.IsTrueAsync(() => AreQuiet(server)), TimeSpan.Zero);

    // A peer that has just sent may be in the middle of a message, vanished or not.
    [Fact]
    public Task Stop_PeersHaveJustSent_WaitsForTheirQuietTimeToo() =>
        AssertEndsAsync(static _ => Task.CompletedTask, QuietTime);

    private async Task AssertEndsAsync(Func<TestServer, Task> wait, TimeSpan quiet)
    {
        using var network = Networks.Create();
        await using var server = await TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            static (_, endpoint) => endpoint.UseGracefulShutdown().Run(HandlerSteps.EchoAsync),
            builder =>
            {
                builder.Services.AddGracefulShutdown();
                builder.WebHost.UseSockets(sockets => sockets.CreateBoundListenSocket = endPoint =>
                    network.Run(() => SocketTransportOptions.CreateDefaultBoundListenSocket(endPoint)));
            });
        HabitPeer[] peers = [.. Enumerable.Range(0, PeerCount).Select(_ => network.ConnectHabit(server.EndPoint))];
        foreach (var peer in peers)
        {
            peer.StartReading();
            await peer.SendAsync("x");
            await peer.ReceivedAsync(1);
        }

        network.Cut();
        await wait(server);
        var report = await server.StopAndReportAsync();

        output.WriteLine($"{report}");
        Assert.Equal((PeerCount, PeerCount), (report.ConnectionCount, report.Outcomes[CloseOutcome.LingerTimedOut]));
        Assert.Equal((0, 0), (report.UnacknowledgedBytes, report.UnansweredCount));
        Assert.InRange(report.Duration, LingerIdleTimeout, quiet + LingerIdleTimeout + Slack);
        foreach (var peer in peers)
        {
            await peer.DisposeAsync();
        }
    }

    private static bool AreQuiet(TestServer server) =>
        server.Drain.GetConnections().All(static connection => connection.IdleTime > QuietTime);
}
