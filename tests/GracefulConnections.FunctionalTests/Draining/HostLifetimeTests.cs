using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>
/// Every kind of host announces in <c>StopApplication()</c>, and fires <c>ApplicationStopping</c> when the announcement
/// is over.
/// </summary>
public sealed class HostLifetimeTests : IDisposable
{
    private static readonly TimeSpan Delay = TimeSpan.FromMilliseconds(300);

    private readonly CapturedLog _log = new();

    public static TheoryData<string> Hosts =>
        ["web", "web with a server of its own", "application", "default builder"];

    public void Dispose() => _log.Dispose();

    [Theory]
    [MemberData(nameof(Hosts))]
    public async Task StopApplication_EveryHost_AnnouncesAndFiresWhenTheDelayIsOver(string kind)
    {
        using var host = Build(kind, Delay);
        var lifetime = host.Services.GetRequiredService<IHostApplicationLifetime>();
        var drain = host.Services.GetRequiredService<IDrainCoordinator>();
        var time = host.Services.GetRequiredService<FakeTimeProvider>();
        var running = RunAsync(host);
        await WhenCancelledAsync(lifetime.ApplicationStarted);

        lifetime.StopApplication();

        Assert.Equal(DrainPhase.Announced, drain.Phase);
        Assert.True(drain.DrainAnnounced.IsCancellationRequested);
        Assert.False(lifetime.ApplicationStopping.IsCancellationRequested);
        lifetime.StopApplication(); // The same request.
        Assert.False(lifetime.ApplicationStopping.IsCancellationRequested);
        time.Advance(Delay);
        await running.InTimeAsync();
        Assert.True(lifetime.ApplicationStopping.IsCancellationRequested);
        Assert.Equal(DrainPhase.Drained, drain.Phase);
        Assert.DoesNotContain(_log.Entries, static entry => entry.EventId == 44 && entry.Category == "GracefulConnections");
    }

    [Theory]
    [MemberData(nameof(Hosts))]
    public async Task StopApplication_NoDelay_FiresBeforeItReturns(string kind)
    {
        using var host = Build(kind, TimeSpan.Zero);
        var lifetime = host.Services.GetRequiredService<IHostApplicationLifetime>();
        var running = RunAsync(host);
        await WhenCancelledAsync(lifetime.ApplicationStarted);
        var phase = DrainPhase.Serving;
        using var registration = lifetime.ApplicationStopping.Register(
            () => phase = host.Services.GetRequiredService<IDrainCoordinator>().Phase);

        lifetime.StopApplication();

        Assert.Equal(DrainPhase.Announced, phase); // Announced before it fired.
        await running.InTimeAsync();
    }

    [Fact]
    public async Task StopAsync_CalledDirectly_AnnouncesBeforeItFires()
    {
        using var host = Build("application", Delay);
        var lifetime = host.Services.GetRequiredService<IHostApplicationLifetime>();
        await StartAsync(host);

        var stopping = StopAsync(host);

        await WhenCancelledAsync(host.Services.GetRequiredService<IDrainCoordinator>().DrainAnnounced);
        Assert.False(lifetime.ApplicationStopping.IsCancellationRequested);
        host.Services.GetRequiredService<FakeTimeProvider>().Advance(Delay);
        await stopping;
    }

    [Fact]
    public async Task StopApplication_BeforeTheStart_IsNotDelayed()
    {
        using var host = Build("application", Delay, new StopsAtStart());
        var lifetime = host.Services.GetRequiredService<IHostApplicationLifetime>();

        await RunAsync(host).InTimeAsync(); // Nobody moves the clock.

        Assert.True(lifetime.ApplicationStopping.IsCancellationRequested);
    }

    [Fact]
    public async Task Lifetime_OfTheApplicationsOwn_IsLeftAloneAndSaidOnce()
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Logging.ClearProviders().AddProvider(_log);
        builder.Services.Replace(ServiceDescriptor.Singleton<IHostApplicationLifetime>(
            static services => new Microsoft.Extensions.Hosting.Internal.ApplicationLifetime(
                services.GetRequiredService<ILogger<Microsoft.Extensions.Hosting.Internal.ApplicationLifetime>>())));
        builder.Services.AddGracefulShutdown();
        using var host = builder.Build();

        await StartAsync(host);
        await StopAsync(host);

        var entry = Assert.Single(_log.Entries, static entry => entry.EventId == 44 && entry.Category == "GracefulConnections");
        Assert.Equal(LogLevel.Warning, entry.Level);
        Assert.Equal(DrainPhase.Drained, host.Services.GetRequiredService<IDrainCoordinator>().Phase);
    }

    [Fact]
    public async Task Start_NoEndpoint_SaysThatThereIsNothingToDrain()
    {
        using var host = Build("application", TimeSpan.Zero);

        await StartAsync(host);
        await StopAsync(host);

        Assert.Single(_log.Entries, static entry =>
            entry.Level == LogLevel.Warning && entry.Message.StartsWith("AddGracefulShutdown() has nothing to drain", StringComparison.Ordinal));
    }

    private static Task RunAsync(IHost host) => host.RunAsync();

    private static Task StartAsync(IHost host) => host.StartAsync().InTimeAsync();

    private static Task StopAsync(IHost host) => host.StopAsync().InTimeAsync();

    private static async Task WhenCancelledAsync(CancellationToken token)
    {
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var registration = token.Register(cancelled.SetResult);
        await cancelled.Task.InTimeAsync();
    }

    private IHost Build(string kind, TimeSpan delay, IHostedService? service = null)
    {
        if (kind.StartsWith("web", StringComparison.Ordinal))
        {
            var web = WebApplication.CreateSlimBuilder();
            web.WebHost.UseUrls("http://127.0.0.1:0");
            Add(web.Services);
            if (kind == "web with a server of its own")
            {
                web.Services.AddSingleton<IServer, NoServer>(); // As the in-memory server of integration tests.
            }

            return web.Build();
        }

        if (kind == "default builder")
        {
            return Host.CreateDefaultBuilder().UseConsoleLifetime().ConfigureServices(Add).Build();
        }

        var builder = Host.CreateApplicationBuilder();
        Add(builder.Services);
        return builder.Build();

        void Add(IServiceCollection services)
        {
            services.AddLogging(logging => logging.ClearProviders().AddProvider(_log));
            services.Configure<HostOptions>(static options => options.ShutdownTimeout = Timeout.InfiniteTimeSpan);
            services.AddGracefulShutdown(options => options.AnnounceDelay = delay);
            services.AddSingleton(new FakeTimeProvider()).AddSingleton<TimeProvider>(static services => services.GetRequiredService<FakeTimeProvider>());
            if (service is not null)
            {
                services.AddSingleton<IHostedService>(services =>
                {
                    ((StopsAtStart)service).Lifetime = services.GetRequiredService<IHostApplicationLifetime>();
                    return service;
                });
            }
        }
    }

    private sealed class StopsAtStart : IHostedService
    {
        public IHostApplicationLifetime? Lifetime { get; set; }

        public Task StartAsync(CancellationToken cancellationToken)
        {
            Lifetime!.StopApplication();
            return Task.CompletedTask;
        }

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    private sealed class NoServer : IServer
    {
        public IFeatureCollection Features { get; } = new FeatureCollection();

        public Task StartAsync<TContext>(IHttpApplication<TContext> application, CancellationToken cancellationToken)
            where TContext : notnull => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public void Dispose()
        {
        }
    }
}
