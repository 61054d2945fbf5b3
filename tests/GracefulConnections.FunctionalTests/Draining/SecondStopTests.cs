using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>A host is stopped while it stops, by a caller that is in more of a hurry.</summary>
public sealed class SecondStopTests
{
    [Fact]
    public async Task Stop_WhileItStops_CutsNoAnswerShort()
    {
        var stock = await StopTwiceAsync(isStock: true);
        var graceful = await StopTwiceAsync(isStock: false);

        Assert.Equal((null, null), (stock, graceful));
    }

    // The second stop's exception, once the peer has its answer.
    private static async Task<string?> StopTwiceAsync(bool isStock)
    {
        var answer = new SlowAnswer();
        var port = FreePort.Find();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, endpoint => answer.Serve(endpoint, isStock)));
        if (!isStock)
        {
            builder.Services.AddGracefulShutdown();
        }

        await using var host = builder.Build();
        await host.StartAsync(TestContext.Current.CancellationToken).InTimeAsync();
        await using var peer = await answer.AskAsync(new IPEndPoint(IPAddress.Loopback, port));

        var first = host.StopAsync(TestContext.Current.CancellationToken);
        await answer.StopSeen;
        using var hurry = new CancellationTokenSource();
        var second = host.StopAsync(hurry.Token);
        await hurry.CancelAsync();
        answer.Answer();

        await SlowAnswer.AssertIsAnsweredAsync(peer);
        await first.InTimeAsync();
        return (await Record.ExceptionAsync(() => second.InTimeAsync()))?.ToString();
    }
}
