using System.Net;
using System.Runtime.Versioning;
using System.Text;
using System.Text.RegularExpressions;
using GracefulConnections.FunctionalTests.Listening.Support;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Listening;

/// <summary>Processes hand their listening sockets over, as operators see it.</summary>
[UnsupportedOSPlatform("windows")]
public sealed partial class HandoverProcessTests : IDisposable
{
    private static readonly byte[] Quit = "quit\n"u8.ToArray();

    private readonly TemporaryDirectory _directory = new();
    private readonly IPEndPoint _endPoint = new(IPAddress.Loopback, FreePort.Find());

    private string SocketPath => _directory["handover.sock"];

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Start_FailsOnceItHasBound_PredecessorServesOn()
    {
        await using var predecessor = await StartAsync();
        await using var load = new ConnectLoad(_endPoint, Quit, 2, TimeSpan.Zero, TimeSpan.FromMilliseconds(2));

        await using (var failing = SampleProcess.Start(Command("--Fail", "exit")))
        {
            Assert.Equal(9, await failing.WaitForExitAsync());
        }

        await predecessor.LogContainsAsync("ended before it was ready. This process goes on");
        await load.ServesMoreAsync(10);
        await load.StopAsync();
        Assert.Empty(load.Lost);
    }

    [Fact]
    public async Task Start_TooSlowly_EndsAndThePredecessorServesOn()
    {
        await using var predecessor = await StartAsync("--Handover:ReadyTimeout", "00:00:00.001"); // No predecessor, so no wait.

        await using var slow = SampleProcess.Start(Command());

        Assert.Equal(1, await slow.WaitForExitAsync());
        Assert.Contains("had given up waiting for it", slow.Log);
        Assert.Equal(predecessor.Id, await WhoServesAsync());
    }

    [Fact]
    public async Task Signal_Once_StartsASuccessorAndTellsTheServiceManager()
    {
        using var manager = new FakeNotifySocket();
        var command = Command("--Signal", "SIGHUP");
        command.Environment["NOTIFY_SOCKET"] = manager.Address;
        await using var first = await SampleProcess.StartAsync(command);
        Assert.Equal($"FDSTORE=1\nFDNAME=listen-127.0.0.1_{_endPoint.Port}\nFDPOLL=0", await manager.ReceiveAsync());

        first.HangUp();
        var message = await manager.ReceiveAsync();
        await first.ProcessExitsAsync();

        var second = await WhoServesAsync();
        Assert.NotEqual(first.Id, second);
        Assert.Equal($"MAINPID={second}", message);
        Assert.False(manager.HasMessage); // No STOPPING, no STATUS: it is not the service that stops.
        Signal.Terminate(second);
        var messages = await manager.ReceiveUntilAsync(static message => message.StartsWith("STATUS=Drained", StringComparison.Ordinal));
        Assert.StartsWith("STATUS=Announced", messages[0]);
        Assert.Equal(0, await first.WaitForExitAsync());
    }

    [Fact]
    public async Task Signal_SuccessorHangs_IsKilledAndTheServerServesOn()
    {
        await using var server = await StartAsync("--Signal", "SIGHUP", "--Handover:ReadyTimeout", "00:00:01", "--FailAgain", "hang");

        server.HangUp();

        await server.LogContainsAsync("was killed: it was not ready in time");
        Assert.Equal(server.Id, await WhoServesAsync());
    }

    [Fact]
    public async Task Start_OtherUser_IsRefused()
    {
        Assert.SkipUnless(Environment.UserName == "root", "Only root can start a process as another user.");
        var setpriv = RequiredProgram.Find("setpriv", "util-linux");
        await using var predecessor = await StartAsync();
        File.SetUnixFileMode(Path.GetDirectoryName(SocketPath)!, (UnixFileMode)0b111_101_101);

        // Kept out by the file's mode, and, where somebody has changed that, by the predecessor.
        Assert.Contains("may not be connected to: it belongs to another user", await StartStrangerAsync());
        File.SetUnixFileMode(SocketPath, (UnixFileMode)0b110_110_110);
        Assert.Contains("refused, because it runs as another user", await StartStrangerAsync());
        await predecessor.LogContainsAsync("was refused, because it runs as user 65534");

        Assert.Equal(predecessor.Id, await WhoServesAsync());

        async Task<string> StartStrangerAsync()
        {
            await using var stranger = SampleProcess.Start(HandoverServer.Command(setpriv, Arguments(), "--reuid=65534", "--clear-groups"));
            Assert.NotEqual(0, await stranger.WaitForExitAsync());
            return stranger.Log;
        }
    }

    [Fact]
    public async Task Start_SocketActivated_ServesThePassedSocket()
    {
        var activate = RequiredProgram.Find("systemd-socket-activate", "systemd");
        var port = _endPoint.Port;
        await using var server = SampleProcess.Start(HandoverServer.Command(activate, Arguments(), "-l", $"127.0.0.1:{port}", "-l", $"127.0.0.1:{FreePort.Find()}"));

        await server.LogContainsAsync(" as 4."); // It listens on both.
        var id = await WhoServesAsync(); // The connect starts it.

        Assert.Equal(server.Id, id);
        Assert.Contains("no endpoint has: 127.0.0.1:", server.Log);
        Assert.Contains("bound anew: none.", server.Log);
        await using var successor = await StartAsync();
        Assert.Equal(0, await server.WaitForExitAsync());
        Assert.Equal(successor.Id, await WhoServesAsync());
    }

    [Fact]
    public async Task Kill_SocketIsStored_TheNextProcessServesTheSameQueue()
    {
        var python = RequiredProgram.Find("python3", "python3");
        var script = Path.Combine(AppContext.BaseDirectory, "Listening", "service_manager.py");
        await using var manager = SampleProcess.Start(HandoverServer.Command(python, Arguments(), script, _directory["notify"]));
        await manager.LogContainsAsync("stored listen-127.0.0.1_");
        var first = await WhoServesAsync();

        Signal.Kill(first);
        var second = await WhoServesAsync(); // Waits in the queue until there is somebody to accept.

        Assert.NotEqual(first, second);
        manager.Terminate();
        Assert.Equal(0, await manager.WaitForExitAsync());
    }

    [GeneratedRegex(@"^\d+\n$")]
    private static partial Regex IdLine();

    private string[] Arguments(params IEnumerable<string> more) =>
        ["--Endpoints", $"tcp:{_endPoint.Port}", "--Handover:SocketPath", SocketPath, .. more];

    private System.Diagnostics.ProcessStartInfo Command(params IEnumerable<string> more) => HandoverServer.Command("dotnet", Arguments(more));

    private Task<SampleProcess> StartAsync(params IEnumerable<string> more) => HandoverServer.StartAsync(Arguments(more));

    private async Task<int> WhoServesAsync()
    {
        await using var peer = await ScriptedPeer.ConnectAsync(_endPoint);
        await peer.SendAsync(Quit);
        using var answer = new MemoryStream();
        Assert.Equal(PeerSaw.Eof, (await peer.ReadAllAsync(answer)).End);
        var text = Encoding.ASCII.GetString(answer.ToArray());
        Assert.Matches(IdLine(), text);
        return int.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
    }
}
