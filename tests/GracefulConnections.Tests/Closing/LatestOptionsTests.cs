using System.Net;
using System.Net.Sockets;
using GracefulConnections.Closing;
using GracefulConnections.Tests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Tests.Closing;

/// <summary>A reload of the configuration while connections are made that no endpoint has accepted.</summary>
public sealed class LatestOptionsTests : IDisposable
{
    private const string LingerIdleTimeout = "Close:LingerIdleTimeout";
    private const string ConnectTimeout = "Outgoing:ConnectTimeout";

    private readonly ConfigurationManager _configuration = new();
    private readonly RecordingLogger _logger = new();
    private readonly ServiceProvider _services;

    public LatestOptionsTests()
    {
        var services = new ServiceCollection().AddSingleton<ILoggerFactory>(_logger).AddGracefulConnectionFactory();
        services.Configure<GracefulCloseOptions>(_configuration.GetSection("Close"));
        services.Configure<OutgoingConnectionOptions>(_configuration.GetSection("Outgoing"));
        _services = services.BuildServiceProvider();
        Set(LingerIdleTimeout, "00:00:07");
        Set(ConnectTimeout, "00:00:07");
    }

    public void Dispose()
    {
        _services.Dispose();
        _configuration.Dispose();
    }

    [Theory]
    [InlineData("-00:00:01")]
    [InlineData("soon")]
    public void Get_ReloadBringsWhatIsRefused_GoesOnWithTheValuesBeforeAndSaysSoOnce(string refused)
    {
        var before = CloseScope.Get(_services, null);

        Reload(LingerIdleTimeout, refused);

        Assert.Same(before, CloseScope.Get(_services, null));
        Assert.Same(before, CloseScope.Get(_services, null));
        var told = Assert.Single(_logger.Entries, static entry => entry.Id.Name == "OptionsKept");
        Assert.Equal(LogLevel.Warning, told.Level);
        Assert.Contains(nameof(GracefulCloseOptions), told.Message, StringComparison.Ordinal);
        Assert.Contains("LingerIdleTimeout", told.Message, StringComparison.Ordinal);

        Reload(LingerIdleTimeout, "00:00:08");
        Assert.Equal(TimeSpan.FromSeconds(8), CloseScope.Get(_services, null).Options.LingerIdleTimeout);
    }

    [Fact]
    public void Get_RefusedFromTheStart_Throws()
    {
        Set(LingerIdleTimeout, "-00:00:01");

        Assert.Throws<OptionsValidationException>(() => CloseScope.Get(_services, null));
        Assert.Empty(_logger.Entries);
    }

    [Fact]
    public async Task ConnectAsync_ReloadBringsWhatIsRefused_ConnectsAsBefore()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        var factory = _services.GetRequiredService<IConnectionFactory>();
        await ConnectAsync();

        Reload(ConnectTimeout, "never");

        await ConnectAsync();
        var told = Assert.Single(_logger.Entries, static entry => entry.Id.Name == "OptionsKept");
        Assert.Contains(nameof(OutgoingConnectionOptions), told.Message, StringComparison.Ordinal);

        async Task ConnectAsync()
        {
            var connection = await factory.ConnectAsync(listener.LocalEndPoint!).AsTask().WithinLimit();
            using var accepted = await listener.AcceptAsync().WithinLimit();
            connection.Abort();
            await connection.DisposeAsync().AsTask().WithinLimit();
        }
    }

    private void Set(string key, string value) => _configuration[key] = value;

    // Whoever reloads is told as well, by the framework's monitor.
    private void Reload(string key, string value)
    {
        Set(key, value);
        _ = Record.Exception(((IConfigurationRoot)_configuration).Reload);
    }
}
