using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>
/// A second Kestrel in a host, which the application starts and stops by itself, as it must where endpoints come and go.
/// </summary>
public class OwnServerTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Stop_MessageTakesLongerThanAReload_IsAnswered(bool isStock)
    {
        var time = new FakeTimeProvider();
        var handler = new SlowAnswer();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        SlowAnswer.AddDrain(builder.Services, time, isStock);
        await using var app = builder.Build();
        await app.StartAsync(TestContext.Current.CancellationToken).InTimeAsync();
        ListenOptions? listening = null;
        var options = new KestrelServerOptions { ApplicationServices = app.Services };
        options.Listen(IPAddress.Loopback, 0, endpoint =>
        {
            listening = endpoint;
            handler.Serve(endpoint, isStock);
        });
        using var server = new KestrelServer(
            Options.Create(options),
            app.Services.GetRequiredService<IConnectionListenerFactory>(),
            app.Services.GetRequiredService<ILoggerFactory>());
        await server.StartAsync(new NoApplication(), TestContext.Current.CancellationToken).InTimeAsync();
        await using var peer = await handler.AskAsync(listening!.EndPoint);

        var stopping = server.StopAsync(TestContext.Current.CancellationToken);

        await handler.AnswerAfterAsync(SlowAnswer.LongerThanAReload, time);
        await SlowAnswer.AssertIsAnsweredAsync(peer);
        await stopping.InTimeAsync();
    }

    private sealed class NoApplication : IHttpApplication<int>
    {
        public int CreateContext(IFeatureCollection contextFeatures) => 0;

        public Task ProcessRequestAsync(int context) => Task.CompletedTask;

        public void DisposeContext(int context, Exception? exception)
        {
        }
    }
}
