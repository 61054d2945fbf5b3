using System.Net.Sockets;
using GracefulConnections.Diagnostics;
using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Diagnostics;

/// <summary>What a service manager reads from its notify socket.</summary>
public sealed class SystemdNotifierTests : IDisposable
{
    private readonly RecordingLogger _logger = new();

    public void Dispose() => _logger.Dispose();

    [Fact]
    public async Task Notify_SocketInTheFileSystem_GetsOneDatagramAMessage()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Needs Unix datagram sockets.");
        using var manager = new FakeNotifySocket();
        var sut = new SystemdNotifier(manager.Address, _logger);

        sut.Notify("STATUS=Draining, 3 connections left.\nEXTEND_TIMEOUT_USEC=21000000");
        sut.Notify("STATUS=Drainé.");

        Assert.Equal("STATUS=Draining, 3 connections left.\nEXTEND_TIMEOUT_USEC=21000000", await manager.ReceiveAsync());
        Assert.Equal("STATUS=Drainé.", await manager.ReceiveAsync());
        Assert.Empty(_logger.Entries);
    }

    [Fact]
    public async Task Notify_AbstractSocket_GetsTheMessage()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Abstract sockets are Linux's.");
        using var manager = FakeNotifySocket.CreateAbstract();

        new SystemdNotifier(manager.Address, _logger).Notify("STATUS=Hello.");

        Assert.Equal("STATUS=Hello.", await manager.ReceiveAsync());
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    public void Notify_NoSocket_DoesNothing(string? path)
    {
        new SystemdNotifier(path, _logger).Notify("STATUS=Hello.");

        Assert.Empty(_logger.Entries);
    }

    [Fact]
    public void Notify_NobodyListens_IsLoggedQuietly()
    {
        var path = Path.Combine(Path.GetTempPath(), $"nobody-{Guid.NewGuid():N}");

        new SystemdNotifier(path, _logger).Notify("STATUS=Hello.");

        var entry = Assert.Single(_logger.Entries);
        Assert.Equal(
            (LogLevel.Debug, "The service manager behind NOTIFY_SOCKET could not be told how far the drain is."), (entry.Level, entry.Message));
        Assert.IsAssignableFrom<SocketException>(entry.Exception);
    }

    [Fact]
    public async Task Notify_ManagerThatDoesNotRead_DoesNotBlock()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Needs Unix datagram sockets.");
        using var manager = new FakeNotifySocket();
        var sut = new SystemdNotifier(manager.Address, _logger);

        await Task.Run(() =>
        {
            for (var i = 0; i < 10_000 && !_logger.Entries.Any(); i++)
            {
                sut.Notify("STATUS=Hello.");
            }
        }).WithinLimit();

        Assert.Contains("NotifyFailed", _logger.Events); // Its queue is full.
    }

    [Fact]
    public void ExtendTimeout_Always_IsInMicroseconds() => Assert.Equal("EXTEND_TIMEOUT_USEC=21500000", SystemdNotifier.ExtendTimeout(TimeSpan.FromSeconds(21.5)));
}
