using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>A service under systemd, with Microsoft.Extensions.Hosting.Systemd: what its notify socket gets when the service drains.</summary>
public sealed class SystemdServiceTests : IDisposable
{
    private readonly FakeNotifySocket _manager = new();

    public void Dispose() => _manager.Dispose();

    // systemd's own lifetime stops the host there, whenever it was added.
    [Theory]
    [InlineData("UseBefore")]
    [InlineData("UseAfter")]
    [InlineData("AddBefore")]
    [InlineData("AddAfter")]
    public async Task Terminate_ServiceUnderSystemd_SaysHowFarItIsAndAsksForTime(string systemd)
    {
        await using var server = await StopServer.StartServiceAsync(_manager.Address, "--Systemd", systemd, "--Work", "00:00:03", "--Drain:ReportInterval", "00:00:00.5", "--Drain:DrainTimeout", "00:01:30");
        Assert.Equal("READY=1", await _manager.ReceiveAsync());

        // Meanwhile: the kernel keeps ten messages, and a drain does not wait for a service manager that is stuck.
        var receiving = _manager.ReceiveUntilAsync(
            static message => message.StartsWith("STATUS=Drained 1 connection in ", StringComparison.Ordinal));
        await StopWithOneBusyAsync(server);

        // The announcement comes first; the deadline is 90 s after it, and the exit at most two seconds later.
        var messages = await receiving;
        Assert.Equal(
            [
                "STATUS=Announced that the server stops, 1 connection.\nEXTEND_TIMEOUT_USEC=92000000",
                "STOPPING=1",
            ],
            messages[..2]);
        Assert.Matches(@"^STATUS=Draining, 1 connection left after 0\.0 s\.\nEXTEND_TIMEOUT_USEC=(9[0-2]|8\d)\d{6}$", messages[2]);
        Assert.NotEmpty(messages[3..^1]);
        Assert.All(messages[3..^1], static message => Assert.Matches(@"^STATUS=Draining, 1 connection left after \d+\.\d s\.\nEXTEND_TIMEOUT_USEC=(9[01]|[1-8]\d)\d{6}$", message));
        Assert.False(_manager.HasMessage);
    }

    [Fact]
    public async Task Terminate_NoNotifySocket_DrainsAsEver()
    {
        await using var server = await StopServer.StartServiceAsync(null, "--Work", "00:00:00.5", "--Drain:ReportInterval", "00:00:00.1");

        await StopWithOneBusyAsync(server);

        Assert.False(_manager.HasMessage);
    }

    private static async Task StopWithOneBusyAsync(SampleProcess server)
    {
        await using var peer = await SampleProcess.ConnectAsync(server.Ports[0]);
        await peer.SendAsync(StopServer.Ping);
        await peer.ReadExactlyAsync(1);
        await peer.SendAsync(StopServer.Work);
        await peer.AllAcknowledgedAsync();

        server.Terminate();

        Assert.Equal((StopServer.ReplyBytes + StopServer.Goodbye.Length, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        Assert.Equal(0, await server.WaitForExitAsync());
        Assert.DoesNotContain("<4>", server.Log, StringComparison.Ordinal); // No warning, in systemd's own notation.
        Assert.Contains("<6>", server.Log, StringComparison.Ordinal);
    }
}
