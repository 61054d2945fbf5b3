using System.Net.Sockets;
using System.Text;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>A service under systemd, with Microsoft.Extensions.Hosting.Systemd: what its notify socket gets when the service drains.</summary>
public sealed class SystemdServiceTests : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"graceful-{Guid.NewGuid():N}.notify");
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);

    public SystemdServiceTests() => _socket.Bind(new UnixDomainSocketEndPoint(_path));

    public void Dispose()
    {
        _socket.Dispose();
        File.Delete(_path);
    }

    [Fact]
    public async Task Terminate_ServiceUnderSystemd_SaysHowFarItIsAndAsksForTime()
    {
        await using var server = await StopServer.StartServiceAsync(_path, "--Work", "00:00:01", "--Drain:ReportInterval", "00:00:00.1", "--Drain:DrainTimeout", "00:01:30");
        Assert.Equal("READY=1", await ReceiveAsync());

        var receiving = ReceiveUntilDrainedAsync(); // Meanwhile: the kernel keeps ten messages, and a drain does not wait for a service manager that is stuck.
        await StopWithOneBusyAsync(server);

        // Its own message comes first, then ours; the deadline is 90 s after the first request, and the exit a second later.
        var messages = await receiving;
        Assert.Equal(
            [
                "STOPPING=1",
                "STATUS=Announced that the server stops, 1 connections.\nEXTEND_TIMEOUT_USEC=91000000",
                "STATUS=Draining, 1 connections left after 0.0 s.\nEXTEND_TIMEOUT_USEC=91000000",
            ],
            messages[..3]);
        Assert.NotEmpty(messages[3..^1]);
        Assert.All(messages[3..^1], static message => Assert.Matches(@"^STATUS=Draining, 1 connections left after \d+\.\d s\.\nEXTEND_TIMEOUT_USEC=(90|[1-8]\d)\d{6}$", message));
        Assert.Equal(0, _socket.Available);
    }

    [Fact]
    public async Task Terminate_NoNotifySocket_DrainsAsEver()
    {
        await using var server = await StopServer.StartServiceAsync(null, "--Work", "00:00:00.5", "--Drain:ReportInterval", "00:00:00.1");

        await StopWithOneBusyAsync(server);

        Assert.Equal(0, _socket.Available);
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

    private async Task<List<string>> ReceiveUntilDrainedAsync()
    {
        var messages = new List<string>();
        do
        {
            messages.Add(await ReceiveAsync());
        }
        while (!messages[^1].StartsWith("STATUS=Drained 1 connections in ", StringComparison.Ordinal));

        return messages;
    }

    private async Task<string> ReceiveAsync()
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        var buffer = new byte[4096];
        return Encoding.UTF8.GetString(buffer, 0, await _socket.ReceiveAsync(buffer, SocketFlags.None, limit.Token));
    }
}
