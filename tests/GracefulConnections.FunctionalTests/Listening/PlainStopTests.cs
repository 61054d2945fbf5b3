using System.Net;
using System.Runtime.Versioning;
using GracefulConnections.FunctionalTests.Listening.Support;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Listening;

/// <summary>A server that stops without a successor while peers connect: what it does to those in the accept queue.</summary>
[Collection(SerialTests.Name)]
[UnsupportedOSPlatform("windows")]
public sealed class PlainStopTests(ITestOutputHelper output) : IDisposable
{
    // Of stock Kestrel. What remains to ours is a moment between the last look at the queue and its end: a machine that
    // does something else just then resets all peers of one stop. So there must be many stops.
    private const int EnoughResets = 60;
    private const int MostStops = 200;
    private const int PeerCount = 6;

    private static readonly byte[] Quit = "q"u8.ToArray();

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Stop_PeersConnectWithoutAPause_ResetsFarFewerThanStock()
    {
        var (graceful, stock) = (0, 0);
        var stops = 0;
        for (; stops < MostStops && stock < EnoughResets; stops++)
        {
            stock += await CountStockResetsAsync(FreePort.Find());
            graceful += await CountGracefulResetsAsync(FreePort.Find());
        }

        output.WriteLine($"{stops} stops each. Resets: {graceful}, on stock {stock}.");
        Assert.InRange(stock, EnoughResets, int.MaxValue);
        Assert.InRange(graceful, 0, stock / 2);
    }

    private async Task<int> CountGracefulResetsAsync(int port)
    {
        await using var host = await HandoverHost.StartAsync('a', _directory["handover.sock"], port);
        return await CountResetsAsync(port, () =>
        {
            host.Stop();
            return host.Stopped;
        });
    }

    private static async Task<int> CountStockResetsAsync(int port)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, static endpoint => endpoint.Run(AnswerAsync)));
        await using var host = builder.Build();
        await host.StartAsync().InTimeAsync();
        return await CountResetsAsync(port, () => host.StopAsync().InTimeAsync());
    }

    private static async Task<int> CountResetsAsync(int port, Func<Task> stopAsync)
    {
        await using var load = new ConnectLoad(new IPEndPoint(IPAddress.Loopback, port), Quit, PeerCount, TimeSpan.Zero, TimeSpan.Zero);
        await load.ServesMoreAsync(50);
        await stopAsync();
        await load.StopAsync();
        return load.Lost.Where(static lost => !lost.Key.StartsWith("ConnectionRefused", StringComparison.Ordinal)).Sum(static lost => lost.Value);
    }

    private static async Task AnswerAsync(ConnectionContext connection)
    {
        var read = await connection.Transport.Input.ReadAsync();
        connection.Transport.Input.AdvanceTo(read.Buffer.End);
        await connection.Transport.Output.WriteAsync(Quit);
    }
}
