using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>
/// A host is stopped that serves nobody: its start failed, or it has run, or it was disposed. A program does so in its
/// <c>finally</c>, and what the stop throws there would hide why the host has ended.
/// </summary>
public sealed class EndedHostTests : IDisposable
{
    private const string FailedRun = "a run that failed to start";
    private const string Run = "a run";
    private const string Disposal = "a disposal";
    private const string StopAndDisposal = "a stop and a disposal";

    // Nobody waits for as long: a server that nobody can reach has nothing to announce.
    private static readonly TimeSpan Endless = TimeSpan.FromHours(1);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("graceful-"); // Nobody else's.

    private readonly CapturedLog _log = new();

    public void Dispose()
    {
        _directory.Delete(recursive: true);
        _log.Dispose();
    }

    [Theory]
    [InlineData(FailedRun, false)]
    [InlineData(FailedRun, true)]
    [InlineData(Run, false)]
    [InlineData(Run, true)]
    [InlineData(Disposal, false)]
    [InlineData(Disposal, true)]
    [InlineData(StopAndDisposal, false)]
    [InlineData(StopAndDisposal, true)]
    public async Task Stop_OfAHostThatHasEnded_DoesNotThrow(string end, bool hasHandover)
    {
        var stock = await StopAsync(end, isGraceful: false, hasHandover: false);
        var graceful = await StopAsync(end, isGraceful: true, hasHandover);

        Assert.Equal((null, null), (stock, graceful));
    }

    [Fact]
    public async Task Stop_BehindAStartThatFailed_DoesNotWaitForTheAnnouncement()
    {
        await using var host = Build(isGraceful: true, hasHandover: false, failsToStart: true, Endless);
        await Assert.ThrowsAsync<NotSupportedException>(() => host.StartAsync(TestContext.Current.CancellationToken));

        await host.StopAsync(TestContext.Current.CancellationToken).InTimeAsync();

        var announced = Assert.Single(_log.Entries, static entry => entry is { EventId: 10, Category: "GracefulConnections" });
        Assert.EndsWith("begins in 0 s. Until then the server accepts and serves as before.", announced.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task StopApplication_OfADisposedHost_DoesNotWaitForTheAnnouncement()
    {
        var host = Build(isGraceful: true, hasHandover: false, failsToStart: false, Endless);
        await host.StartAsync(TestContext.Current.CancellationToken);
        var (lifetime, drain) = (host.Lifetime, host.Services.GetRequiredService<IDrainCoordinator>());
        await host.DisposeAsync().AsTask().InTimeAsync();

        lifetime.StopApplication();

        Assert.True(lifetime.ApplicationStopping.IsCancellationRequested);
        Assert.True(drain.DrainAnnounced.IsCancellationRequested);
    }

    // The second stop's exception.
    private async Task<string?> StopAsync(string end, bool isGraceful, bool hasHandover)
    {
        var delay = end is FailedRun or Disposal ? Endless : TimeSpan.Zero;
        await using var host = Build(isGraceful, hasHandover, failsToStart: end == FailedRun, delay);
        switch (end)
        {
            case FailedRun:
                await Assert.ThrowsAsync<NotSupportedException>(() => host.RunAsync().InTimeAsync());
                break;
            case Run:
                using (host.Lifetime.ApplicationStarted.Register(
                    () => ThreadPool.UnsafeQueueUserWorkItem(_ => host.Lifetime.StopApplication(), null)))
                {
                    await host.RunAsync().InTimeAsync();
                }

                break;
            default:
                await host.StartAsync(TestContext.Current.CancellationToken).InTimeAsync();
                if (end == StopAndDisposal)
                {
                    await host.StopAsync(TestContext.Current.CancellationToken).InTimeAsync();
                }

                await host.DisposeAsync().AsTask().InTimeAsync();
                break;
        }

        var fault = await Record.ExceptionAsync(
            () => host.StopAsync(TestContext.Current.CancellationToken).InTimeAsync());
        return fault?.ToString();
    }

    private WebApplication Build(bool isGraceful, bool hasHandover, bool failsToStart, TimeSpan announceDelay)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders().AddProvider(_log);
        if (failsToStart)
        {
            builder.Services.AddHostedService<NoStart>();
        }

        if (isGraceful)
        {
            builder.Services.AddGracefulShutdown(options => options.AnnounceDelay = announceDelay);
        }

        if (hasHandover)
        {
            builder.Services.AddListenerHandover(options => options.SocketPath = Path.Combine(_directory.FullName, "handover"));
        }

        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, endpoint =>
            (isGraceful ? endpoint.UseGracefulShutdown() : endpoint).Run(static _ => Task.CompletedTask)));
        return builder.Build();
    }

    private sealed class NoStart : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken) => throw new NotSupportedException("It fails.");

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
