using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>
/// The old <see cref="WebHostBuilder"/>, which has a lifetime of its own and calls no <c>IHostedLifecycleService</c>.
/// </summary>
public sealed class OldWebHostTests : IDisposable
{
    private const int LifetimeNotReplaced = 44;

    private readonly CapturedLog _log = new();

    public void Dispose() => _log.Dispose();

    [Fact]
    public async Task Stop_OldWebHost_IsLeftAloneWithAWarningAndTheConnectionEndsWell()
    {
        ListenOptions? listening = null;
        using var host = new WebHostBuilder()
            .UseKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, endpoint =>
            {
                listening = endpoint;
                endpoint.UseGracefulShutdown(TestServer.BecomeQuietSoon).Run(HandlerSteps.EchoAsync);
            }))
            .ConfigureLogging(logging => logging.AddProvider(_log))
            .ConfigureServices(static services => services.AddGracefulShutdown())
            .Configure(static _ => { })
            .Build();
        await host.StartAsync(TestContext.Current.CancellationToken).InTimeAsync();
        await using var peer = await ScriptedPeer.ConnectAsync(listening!.EndPoint);
        await peer.SendAsync(new byte[1]);
        await peer.ReadExactlyAsync(1);

        var stopping = host.StopAsync(TestContext.Current.CancellationToken);

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        await stopping.InTimeAsync();
        var entries = _log.Entries.Where(static entry => entry.Category == GracefulTelemetry.LogCategory).ToArray();
        Assert.Equal(LogLevel.Warning, Assert.Single(entries, static entry => entry.EventId == LifetimeNotReplaced).Level);
        Assert.DoesNotContain(entries, static entry => entry.Level >= LogLevel.Error);
    }

    // It tells nobody that it stops, so its request looks like that of an endpoint which Kestrel removes.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Stop_MessageTakesLongerThanAReload_IsAnswered(bool isStock)
    {
        var time = new FakeTimeProvider();
        var handler = new SlowAnswer();
        ListenOptions? listening = null;
        using var host = new WebHostBuilder()
            .UseKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, endpoint =>
            {
                listening = endpoint;
                handler.Serve(endpoint, isStock);
            }))
            .ConfigureServices(services => SlowAnswer.AddDrain(services, time, isStock))
            .Configure(static _ => { })
            .Build();
        await host.StartAsync(TestContext.Current.CancellationToken).InTimeAsync();
        await using var peer = await handler.AskAsync(listening!.EndPoint);

        var stopping = host.StopAsync(TestContext.Current.CancellationToken);

        await handler.AnswerAfterAsync(SlowAnswer.LongerThanAReload, time);
        await SlowAnswer.AssertIsAnsweredAsync(peer);
        await stopping.InTimeAsync();
    }
}
