using GracefulConnections.FunctionalTests.Support;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>What a real host checks, and sets right, before it serves. One at a time: an environment variable is the whole process's.</summary>
[Collection(SerialTests.Name)]
public sealed class HostStartTests : IDisposable
{
    private const string GracePeriodVariable = "TERMINATION_GRACE_PERIOD_SECONDS";

    private readonly string? _gracePeriod = Environment.GetEnvironmentVariable(GracePeriodVariable);
    private readonly CapturedLog _log = new();

    public HostStartTests() => Environment.SetEnvironmentVariable(GracePeriodVariable, null);

    public void Dispose()
    {
        Environment.SetEnvironmentVariable(GracePeriodVariable, _gracePeriod);
        _log.Dispose();
    }

    [Fact]
    public async Task ShutdownTimeout_TooShort_IsRaisedWithTheSum()
    {
        using var host = Build(
            services => services.AddGracefulShutdown(options => (options.AnnounceDelay, options.DrainTimeout) = (TimeSpan.FromSeconds(2.5), TimeSpan.FromSeconds(20))),
            shutdownTimeout: TimeSpan.FromSeconds(10));

        await StartAsync(host);

        Assert.Equal(TimeSpan.FromSeconds(24.5), ShutdownTimeoutOf(host));
        var entry = Assert.Single(Entries);
        Assert.Equal(LogLevel.Information, entry.Level);
        Assert.Equal(
            "HostOptions.ShutdownTimeout was raised from 10 s, which the drain does not fit into: " +
            "AnnounceDelay 2.5 s + DrainTimeout 20 s + 2 s for aborted connections and the exit = 24.5 s.",
            entry.Message);
        await StopAsync(host);
    }

    [Theory]
    [InlineData(22)] // Fits to the tick.
    [InlineData(30)]
    [InlineData(3600)]
    [InlineData(-0.001)] // Infinite.
    public async Task ShutdownTimeout_LongEnough_IsLeftAlone(double seconds)
    {
        using var host = Build(services => services.AddGracefulShutdown(), TimeSpan.FromSeconds(seconds));

        await StartAsync(host);

        Assert.Equal(TimeSpan.FromSeconds(seconds), ShutdownTimeoutOf(host));
        Assert.Empty(Entries);
        await StopAsync(host);
    }

    [Fact]
    public async Task ShutdownTimeout_HostsDefaultAndOurs_FitTogether()
    {
        using var host = Build(services => services.AddGracefulShutdown());

        await StartAsync(host);

        Assert.Equal(new HostOptions().ShutdownTimeout, ShutdownTimeoutOf(host));
        Assert.Empty(Entries);
        await StopAsync(host);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("22")]
    [InlineData("30")]
    [InlineData("86400")]
    public async Task GracePeriod_UnsetOrLongEnough_IsNoNews(string? seconds)
    {
        Environment.SetEnvironmentVariable(GracePeriodVariable, seconds);
        using var host = Build(services => services.AddGracefulShutdown());

        await StartAsync(host);

        Assert.Empty(Entries);
        await StopAsync(host);
    }

    [Fact]
    public async Task GracePeriod_TooShort_WarnsWithTheSum()
    {
        Environment.SetEnvironmentVariable(GracePeriodVariable, "20.5");
        using var host = Build(services => services.AddGracefulShutdown());

        await StartAsync(host);

        var entry = Assert.Single(Entries);
        Assert.Equal(LogLevel.Warning, entry.Level);
        Assert.Equal(
            "The drain does not fit into TERMINATION_GRACE_PERIOD_SECONDS, 20.5 s, after which the process is killed: " +
            "AnnounceDelay 0 s + DrainTimeout 20 s + 2 s for aborted connections and the exit = 22 s. Raise the grace period, or lower DrainTimeout or AnnounceDelay.",
            entry.Message);
        await StopAsync(host);
    }

    [Theory]
    [InlineData("soon")]
    [InlineData("30s")]
    [InlineData("-1")]
    public async Task GracePeriod_NoNumberOfSeconds_WarnsThatItIsNotChecked(string text)
    {
        Environment.SetEnvironmentVariable(GracePeriodVariable, text);
        using var host = Build(services => services.AddGracefulShutdown());

        await StartAsync(host);

        var entry = Assert.Single(Entries);
        Assert.Equal(LogLevel.Warning, entry.Level);
        Assert.Equal(
            $"""TERMINATION_GRACE_PERIOD_SECONDS must be a number of seconds above zero, but was "{text}". Whether the drain fits into it is not checked.""", entry.Message);
        await StopAsync(host);
    }

    [Fact]
    public async Task Options_OutOfRange_StopTheHostBeforeItServesWithAllFailures()
    {
        var service = new StartedService();
        using var host = Build(services => services
            .AddSingleton<IHostedService>(service) // Before ours.
            .AddGracefulShutdown(options =>
            {
                options.DrainTimeout = TimeSpan.FromSeconds(5);
                options.SpreadWindow = TimeSpan.FromSeconds(5);
                options.ReportInterval = TimeSpan.Zero;
            }));

        var exception = await Assert.ThrowsAsync<OptionsValidationException>(() => StartAsync(host));

        Assert.Equal(
            [
                "ServerDrainOptions: ReportInterval must be at least 100 ms, or Timeout.InfiniteTimeSpan for no reports, but was 00:00:00.",
                "ServerDrainOptions: SpreadWindow must be less than DrainTimeout (00:00:05), or the last connections are aborted before they are asked to close, but was 00:00:05.",
            ],
            exception.Failures);
        Assert.False(service.IsStarted);
    }

    [Fact]
    public async Task Options_FromConfiguration_AreTheDrains()
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection([new("Drain:DrainTimeout", "00:01:00"), new("Drain:SpreadWindow", "00:00:30")]).Build();
        using var host = Build(services => services.Configure<ServerDrainOptions>(configuration.GetSection("Drain")).AddGracefulShutdown());

        await StartAsync(host);

        Assert.Equal(TimeSpan.FromSeconds(62), ShutdownTimeoutOf(host));
        await StopAsync(host);
    }

    [Fact]
    public async Task AddDrainCheck_NoGracefulShutdown_StopsTheHostAndSaysWhatToDo()
    {
        using var host = Build(services => services.AddHealthChecks().AddDrainCheck());

        var exception = await Assert.ThrowsAsync<OptionsValidationException>(() => StartAsync(host));

        Assert.Equal("AddDrainCheck needs the drain that it reports: call services.AddGracefulShutdown() as well.", exception.Message);
    }

    [Fact]
    public async Task AddDrainCheck_GracefulShutdownAddedLater_Starts()
    {
        using var host = Build(services =>
        {
            services.AddHealthChecks().AddDrainCheck();
            services.AddGracefulShutdown();
        });

        await StartAsync(host);

        await StopAsync(host);
    }

    [Fact]
    public async Task AddGracefulShutdown_Twice_IsOneDrain()
    {
        using var host = Build(services => services.AddGracefulShutdown().AddGracefulShutdown(options => options.DrainTimeout = TimeSpan.FromSeconds(3)));
        await StartAsync(host);

        var report = await host.Services.GetRequiredService<IDrainCoordinator>().DrainAsync(TestContext.Current.CancellationToken).WaitAsync(TestServer.TestLimit, TestContext.Current.CancellationToken);
        await StopAsync(host);

        Assert.Equal(0, report.ConnectionCount);
        Assert.Single(host.Services.GetServices<IHostedService>(), service => service.GetType().Assembly == typeof(ServerDrainOptions).Assembly);
        Assert.Single(_log.Entries, entry => entry.Level == LogLevel.Information && entry.Message.StartsWith("Draining ", StringComparison.Ordinal));
    }

    // None of these hosts has an endpoint, and says so.
    private IEnumerable<CapturedLog.Entry> Entries => _log.Entries.Where(
        entry => entry.Category == "GracefulConnections"
            && !entry.Message.StartsWith("AddGracefulShutdown() has nothing to drain", StringComparison.Ordinal));

    private static TimeSpan ShutdownTimeoutOf(IHost host) => host.Services.GetRequiredService<IOptions<HostOptions>>().Value.ShutdownTimeout;

    private static Task StartAsync(IHost host) => host.StartAsync().WaitAsync(TestServer.TestLimit);

    private static Task StopAsync(IHost host) => host.StopAsync().WaitAsync(TestServer.TestLimit);

    private IHost Build(Action<IServiceCollection> add, TimeSpan? shutdownTimeout = null)
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Logging.AddProvider(_log);
        add(builder.Services);
        if (shutdownTimeout is { } timeout)
        {
            builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = timeout);
        }

        return builder.Build();
    }

    private sealed class StartedService : IHostedService
    {
        public bool IsStarted { get; private set; }

        public Task StartAsync(CancellationToken cancellationToken)
        {
            IsStarted = true;
            return Task.CompletedTask;
        }

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
