using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>A handler that closes gracefully, on an endpoint whose connections no drain knows.</summary>
[Collection(SerialTests.Name)] // Of several hosts in a process nobody knows whose connection it is.
public class UntrackedHandlerTests
{
    private const int NothingToDrain = 45;
    private const int HandlerNotTracked = 46;

    [Fact]
    public async Task Serve_EndpointWithoutUseGracefulShutdown_IsSaidOnceForEachKindOfHandler()
    {
        var log = new CapturedLog();
        await using (var server = await StartAsync(log, static endpoint => endpoint))
        {
            await ServeAsync(server);
            await ServeAsync(server);
        }

        var entry = Assert.Single(log.Entries, static entry => entry.EventId == HandlerNotTracked);
        Assert.Equal(LogLevel.Warning, entry.Level);
        Assert.StartsWith("EndingHandler serves an endpoint without UseGracefulShutdown()", entry.Message, StringComparison.Ordinal);
        Assert.Single(log.Entries, static entry => entry.EventId == NothingToDrain);
    }

    [Fact]
    public async Task Serve_EndpointWithUseGracefulShutdown_IsNoWarning()
    {
        var log = new CapturedLog();
        await using (var server = await StartAsync(log, static endpoint => endpoint.UseGracefulShutdown()))
        {
            await ServeAsync(server);
        }

        Assert.DoesNotContain(log.Entries, static entry => entry.EventId is HandlerNotTracked or NothingToDrain);
    }

    private static Task<TestServer> StartAsync(CapturedLog log, Func<IConnectionBuilder, IConnectionBuilder> configure) => TestServer.StartAsync(
        new IPEndPoint(IPAddress.Loopback, 0),
        (_, endpoint) => configure(endpoint).Run(new EndingHandler().OnConnectedAsync),
        builder =>
        {
            builder.Services.AddGracefulShutdown();
            builder.Logging.AddProvider(log);
        });

    private static async Task ServeAsync(TestServer server)
    {
        await using var peer = await server.ConnectAsync();
        Assert.Equal((1, PeerSaw.Eof), await peer.ReadToEndAsync());
    }

    private sealed class EndingHandler : GracefulConnectionHandler
    {
        protected override async Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested) =>
            await connection.Transport.Output.WriteAsync(new byte[1], closeRequested);
    }
}
