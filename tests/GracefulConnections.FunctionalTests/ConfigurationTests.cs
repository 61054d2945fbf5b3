using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace GracefulConnections.FunctionalTests;

/// <summary>Options from configuration, as the README binds them: what is wrong there stops the host and is named.</summary>
public sealed class ConfigurationTests : IDisposable
{
    private const int ConfigurationReloaded = 32;

    private readonly ReloadableConfiguration _configuration = new();
    private readonly CapturedLog _log = new();

    public void Dispose() => _log.Dispose();

    [Fact]
    public async Task Drain_NumberAlone_IsRefusedWithWhatToWrite()
    {
        _configuration.Set("Drain:DrainTimeout", "10");

        var exception = await Assert.ThrowsAsync<OptionsValidationException>(StartAsync);

        Assert.Equal(
            "ServerDrainOptions: DrainTimeout must be shorter than one day, but was 10.00:00:00. "
            + "A number alone counts days: for 10 seconds write \"00:00:10\".",
            exception.Message);
    }

    [Fact]
    public async Task Endpoint_NumberAlone_IsRefusedWithWhatToWrite()
    {
        _configuration.Set("Close:LingerIdleTimeout", "30");

        var exception = await Assert.ThrowsAsync<OptionsValidationException>(StartAsync);

        Assert.EndsWith(
            "LingerIdleTimeout must be shorter than one day, but was 30.00:00:00. "
            + "A number alone counts days: for 30 seconds write \"00:00:30\".",
            exception.Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Drain:DrainTimout", "00:00:10", "'DrainTimout'")]
    [InlineData("Close:LingerTimeout", "00:00:10", "'LingerTimeout'")]
    [InlineData("Drain:DrainTimeout", "10s", "'10s' at 'Drain:DrainTimeout'")]
    [InlineData("Close:MaxLingerBytes", "1 MB", "'1 MB' at 'Close:MaxLingerBytes'")]
    public async Task Section_KeyOrValueThatNobodyKnows_IsRefusedByName(string key, string value, string named)
    {
        _configuration.Set(key, value);

        var exception = await Assert.ThrowsAsync<InvalidOperationException>(StartAsync);

        Assert.Contains(named, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Reload_OptionsChange_IsSaidOnceAndChangesNothing()
    {
        _configuration.Set("Drain:DrainTimeout", "00:30:00");
        await using var app = await StartAsync();
        Assert.DoesNotContain(_log.Entries, IsReload);

        _configuration.Change("Drain:DrainTimeout", "10"); // Also what a start would refuse.
        _configuration.Change("Close:LingerIdleTimeout", "00:00:02");

        var entry = Assert.Single(_log.Entries, IsReload);
        Assert.Equal(LogLevel.Information, entry.Level);
        await app.StopAsync(TestContext.Current.CancellationToken).InTimeAsync();
        var started = Assert.Single(_log.Entries, static entry => entry.Message.StartsWith("Draining ", StringComparison.Ordinal));
        Assert.Matches(@"left after (1800|179\d(\.\d)?) s will be aborted", started.Message); // A little of it was gone.
        Assert.DoesNotContain(_log.Entries, static entry => entry.Level >= LogLevel.Error);
    }

    [Fact]
    public async Task Reload_HandoverOptionsAreBad_DoesNotThrowIntoTheReload()
    {
        _configuration.Set("Handover:ReadyTimeout", "00:00:30");
        await using var app = await StartAsync(static services => services.AddListenerHandover()
            .AddOptions<ListenerHandoverOptions>().BindConfiguration("Handover"));

        _configuration.Change("Handover:ReadyTimeout", "-00:00:30");

        await app.StopAsync(TestContext.Current.CancellationToken).InTimeAsync();
    }

    [Fact]
    public async Task Handover_OutOfRange_StopsTheHostBeforeItServes()
    {
        _configuration.Set("Handover:ReadyTimeout", "-00:00:30");

        var exception = await Assert.ThrowsAsync<OptionsValidationException>(() => StartAsync(
            static services => services.AddListenerHandover()
                .AddOptions<ListenerHandoverOptions>().BindConfiguration("Handover")));

        Assert.StartsWith("ListenerHandoverOptions: ReadyTimeout must be positive", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Reload_HostHasStopped_IsNotSaid()
    {
        await using var app = await StartAsync();
        await app.StopAsync(TestContext.Current.CancellationToken).InTimeAsync();

        _configuration.Change("Drain:DrainTimeout", "00:00:02");

        Assert.DoesNotContain(_log.Entries, IsReload);
    }

    private static bool IsReload(CapturedLog.Entry entry) =>
        entry.EventId == ConfigurationReloaded && entry.Category == GracefulTelemetry.LogCategory;

    private Task<WebApplication> StartAsync() => StartAsync(static _ => { });

    private async Task<WebApplication> StartAsync(Action<IServiceCollection> add)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders().AddProvider(_log);
        ((IConfigurationBuilder)builder.Configuration).Add(_configuration);
        builder.Services.AddOptions<ServerDrainOptions>()
            .BindConfiguration("Drain", static binder => binder.ErrorOnUnknownConfiguration = true);
        builder.Services.AddOptions<GracefulCloseOptions>()
            .BindConfiguration("Close", static binder => binder.ErrorOnUnknownConfiguration = true);
        builder.Services.AddGracefulShutdown();
        add(builder.Services);
        builder.WebHost.ConfigureKestrel(static kestrel => kestrel.Listen(
            IPAddress.Loopback, 0, static endpoint => endpoint.UseGracefulShutdown().Run(HandlerSteps.EchoAsync)));
        var app = builder.Build();
        try
        {
            await app.StartAsync(TestContext.Current.CancellationToken).InTimeAsync();
        }
        catch
        {
            await app.DisposeAsync();
            throw;
        }

        return app;
    }
}
