using System.Net;
using System.Runtime.Versioning;
using System.Text;
using System.Text.RegularExpressions;
using GracefulConnections.FunctionalTests.Draining;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Listening.Support;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Listening;

/// <summary>Processes hand their listening sockets over, as operators see it.</summary>
[UnsupportedOSPlatform("windows")]
public sealed partial class HandoverProcessTests : IDisposable
{
    private const byte Established = 1; // TCP_ESTABLISHED.
    private const int WaitingCount = 20;

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
    public async Task Freeze_SuccessorIsReadyMeanwhile_HandsOver()
    {
        var readyTimeout = TimeSpan.FromSeconds(5);
        await using var predecessor = await StartAsync("--Handover:ReadyTimeout", $"{readyTimeout}");
        using var successor = await FakeSuccessor.ConnectAsync(SocketPath);
        await successor.TakeAsync();

        predecessor.Freeze();
        await successor.SendReadyAsync(_endPoint);
        await Pace.PauseAsync(1.2 * readyTimeout);
        predecessor.Thaw();

        Assert.Equal("gone", await successor.ReceiveAsync()); // A successor gets no other answer, so both would serve.
        successor.Dispose();
        Assert.Equal(0, await predecessor.WaitForExitAsync());
    }

    [Fact]
    public async Task Freeze_StartedSuccessorIsReadyMeanwhile_HandsOverAndKillsNobody()
    {
        var readyTimeout = TimeSpan.FromSeconds(8);
        await using var first = await StartAsync("--Signal", "SIGHUP", "--Handover:ReadyTimeout", $"{readyTimeout}", "--FailAgain", "slow");
        first.HangUp();
        await Eventually.IsTrueAsync(() => first.Log.Split("Now listening on").Length == 3, "The successor has the sockets.");

        first.Freeze();
        await Task.WhenAll(Pace.PauseAsync(readyTimeout), first.LogContainsAsync("did not answer in time")); // So it serves.
        first.Thaw();

        await first.ProcessExitsAsync();
        var second = await WhoServesAsync();
        Assert.NotEqual(first.Id, second);
        Signal.Terminate(second);
        Assert.Equal(0, await first.WaitForExitAsync());
        Assert.DoesNotContain("was killed", first.Log);
    }

    [Fact]
    public async Task Signal_Once_StartsASuccessorAndTellsTheServiceManager()
    {
        using var manager = new FakeNotifySocket();
        var command = Command("--Signal", "SIGHUP");
        command.Environment["NOTIFY_SOCKET"] = manager.Address;
        await using var first = await SampleProcess.StartAsync(command);
        Assert.Equal(Stored(_endPoint.Port), await manager.ReceiveAsync());

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
    public async Task Signal_LastArgumentIsEmpty_SuccessorHasItToo()
    {
        await using var first = await StartAsync("--Signal", "SIGHUP", "--Name", "");
        first.HangUp();

        await first.LogContainsAsync("were handed over");
        var second = await WhoServesAsync();
        var arguments = await File.ReadAllTextAsync($"/proc/{second}/cmdline", TestContext.Current.CancellationToken);
        Signal.Terminate(second);

        Assert.EndsWith("\0--Name\0\0", arguments, StringComparison.Ordinal);
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
    public async Task Signal_WhileItDrains_PeerGetsItsAnswer()
    {
        await using var first = await StartAsync("--Signal", "SIGHUP", "--Work", "00:00:02");
        await using var peer = await ScriptedPeer.ConnectAsync(_endPoint);
        await peer.SendAsync("work\n"u8.ToArray());
        first.HangUp();
        await first.LogContainsAsync("Draining 1 connection");

        first.HangUp(); // As "pkill -HUP" does, which asks every process of that name.

        var answer = await peer.ReadToEndAsync();
        await first.ProcessExitsAsync();
        Signal.Terminate(await WhoServesAsync());
        Assert.Equal((first.Id.ToString(System.Globalization.CultureInfo.InvariantCulture).Length + 1, PeerSaw.Eof), answer);
        Assert.Equal(0, await first.WaitForExitAsync());
        Assert.Contains("this process itself is starting or stopping", first.Log);
    }

    [Fact]
    public async Task Signal_WhileItStarts_StartsOn()
    {
        await using var server = SampleProcess.Start(Command("--Signal", "SIGHUP", "--Fail", "hang"));
        await server.LogContainsAsync("Now listening on");

        server.HangUp();

        await server.LogContainsAsync("this process itself is starting or stopping");
        Assert.False(server.HasExited);
    }

    [Fact]
    public async Task Signal_ToProcessOneOfAContainer_ServesOnAsStock()
    {
        await using var stock = await ContainerAsync("--Stock", "true");
        Signal.HangUp(stock.ChildId);
        var stockAnswer = await WhoServesAsync();
        Signal.Terminate(stock.ChildId);
        await stock.WaitForExitAsync();
        await using var graceful = await ContainerAsync("--Signal", "SIGHUP");
        Signal.HangUp(graceful.ChildId);
        await graceful.LogContainsAsync("SIGHUP: ");
        await using var second = SampleProcess.Start(HandoverServer.Command(RequiredProgram.Find("nsenter", "util-linux"), Arguments(), $"--target={graceful.ChildId}", "--pid", "--mount", "--wd"));
        var exitCode = await second.WaitForExitAsync();

        // The kernel ends all processes of a container with process 1, so a successor would end as well.
        Assert.Equal((1, 1), (stockAnswer, await WhoServesAsync()));
        Assert.NotEqual(0, exitCode);
        Assert.Contains("no successor is started, because this is process 1 of a container", graceful.Log);
        Assert.Contains("asked for the listening sockets and was refused", graceful.Log);
        Assert.Contains("refused, because it is process 1 of its container", second.Log);
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
            // It may read the programs wherever they are, such as in a home directory, but connect to nothing more.
            await using var stranger = SampleProcess.Start(HandoverServer.Command(
                setpriv, Arguments(), "--reuid=65534", "--clear-groups", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"));
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
        await server.LogContainsAsync("no endpoint has: 127.0.0.1:");
        await server.LogContainsAsync("bound anew: none.");
        await using var successor = await StartAsync();
        Assert.Equal(0, await server.WaitForExitAsync());
        Assert.Equal(successor.Id, await WhoServesAsync());
    }

    [Fact]
    public async Task Kill_SocketIsStored_TheNextProcessAnswersWhatWaited()
    {
        var python = RequiredProgram.Find("python3", "python3");
        var script = Path.Combine(AppContext.BaseDirectory, "Listening", "service_manager.py");
        await using var manager = SampleProcess.Start(HandoverServer.Command(python, Arguments(), script, _directory["notify"]));
        await manager.LogContainsAsync("said READY=1");
        var first = await WhoServesAsync();

        Signal.Kill(first);
        await manager.LogContainsAsync("died");
        var waiting = Enumerable.Range(0, WaitingCount).Select(_ => WhoServesAsync()).ToArray(); // Nobody accepts.
        await Eventually.IsTrueAsync(() => KernelSocket.OnPort(_endPoint.Port).Count(static socket => socket.State == Established) >= WaitingCount);
        manager.HangUp();
        var answers = await Task.WhenAll(waiting);

        var second = Assert.Single(answers.Distinct());
        Assert.NotEqual(first, second);
        await Eventually.IsTrueAsync(() => manager.Log.Split("said READY=1").Length == 3, "The second one is ready, too.");
        manager.Terminate();
        Assert.Equal(0, await manager.WaitForExitAsync());
        Assert.Equal(
            [
                $"said FDSTORE=1 FDNAME=listen-127.0.0.1_{_endPoint.Port} FDPOLL=0",
                "said READY=1",
                "died",
                "said READY=1", // Its socket is stored already.
                "said STATUS=Announced",
                "said STOPPING=1",
                "said STATUS=Draining",
                "said STATUS=Drained",
                "died",
            ],
            ManagerLine().Matches(manager.Log).Select(static line => line.Value));
    }

    [Fact]
    public async Task HandOver_UnderAServiceManager_TellsItInOrder()
    {
        using var manager = new FakeNotifySocket();
        var (port, removed, added) = (_endPoint.Port, FreePort.Find(), FreePort.Find());
        await using var first = await SampleProcess.StartAsync(ServiceCommand(manager, "--Endpoints", $"tcp:{port} tcp:{removed}"));
        Assert.Equal([Stored(port), Stored(removed), "READY=1"], await manager.ReceiveUntilAsync(static message => message == "READY=1"));

        var command = Command("--Endpoints", $"tcp:{port} tcp:{added}");
        command.Environment["NOTIFY_SOCKET"] = manager.Address;
        await using var second = await SampleProcess.StartAsync(command);

        // The service manager takes the last message for the old process's, which is not the service any longer.
        Assert.Equal(
            [$"MAINPID={second.Id}", Stored(added), $"FDSTOREREMOVE=1\nFDNAME={NameOf(removed)}", "STOPPING=1"],
            await manager.ReceiveUntilAsync(static message => message == "STOPPING=1"));
        Assert.Equal(0, await first.WaitForExitAsync());
        Assert.False(manager.HasMessage);
    }

    [Fact]
    public async Task Terminate_UnderAServiceManager_LeavesTheSocketWithIt()
    {
        using var manager = new FakeNotifySocket();
        await using var server = await SampleProcess.StartAsync(ServiceCommand(manager));
        Assert.Equal([Stored(_endPoint.Port), "READY=1"], await manager.ReceiveUntilAsync(static message => message == "READY=1"));

        server.Terminate();
        var messages = await manager.ReceiveUntilAsync(static message => message.StartsWith("STATUS=Drained", StringComparison.Ordinal));

        Assert.Equal(0, await server.WaitForExitAsync());
        Assert.False(manager.HasMessage);
        Assert.Equal(
            ["STATUS=Announced", "STOPPING=1", "STATUS=Draining", "STATUS=Drained"], // No FDSTOREREMOVE.
            messages.Select(static message => message.Split(' ', ',')[0]));
    }

    [Fact]
    public async Task Signal_CurrentLeadsToAnotherRelease_StartsThatOne()
    {
        var (built, current) = (Path.GetDirectoryName(SampleProcess.FindAssembly("tests", HandoverServer.Assembly))!, _directory["current"]);
        Copy(built, _directory["one"]);
        Copy(built, _directory["two"]);
        File.CreateSymbolicLink(current, _directory["one"]);
        var command = HandoverServer.CommandAt(current, Arguments("--Signal", "SIGHUP"));
        await using var first = await SampleProcess.StartAsync(command);
        Assert.Contains(_directory["one"], FilesOf(first.Id));

        File.Delete(current);
        File.CreateSymbolicLink(current, _directory["two"]);
        first.HangUp();
        await first.ProcessExitsAsync();

        var second = await WhoServesAsync();
        Assert.Contains(_directory["two"], FilesOf(second));
        Assert.DoesNotContain(_directory["one"], FilesOf(second));
        Signal.Terminate(second);
        Assert.Equal(0, await first.WaitForExitAsync());

        static string FilesOf(int processId) => File.ReadAllText($"/proc/{processId}/maps");

        static void Copy(string from, string to)
        {
            Directory.CreateDirectory(to);
            foreach (var file in Directory.GetFiles(from))
            {
                File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
            }
        }
    }

    [GeneratedRegex(@"^(died|said (FDSTORE=1 .*|[A-Z]+=\w+))", RegexOptions.Multiline)]
    private static partial Regex ManagerLine();

    [GeneratedRegex(@"^\d+\n$")]
    private static partial Regex IdLine();

    private string[] Arguments(params IEnumerable<string> more) =>
        ["--Endpoints", $"tcp:{_endPoint.Port}", "--Handover:SocketPath", SocketPath, .. more];

    private System.Diagnostics.ProcessStartInfo Command(params IEnumerable<string> more) => HandoverServer.Command("dotnet", Arguments(more));

    private System.Diagnostics.ProcessStartInfo ServiceCommand(FakeNotifySocket manager, params IEnumerable<string> more)
    {
        var command = HandoverServer.Command("bash", Arguments(more), "-c", StopServer.SystemdScript, "bash");
        command.Environment["NOTIFY_SOCKET"] = manager.Address;
        return command;
    }

    private static string NameOf(int port) => $"listen-127.0.0.1_{port}";

    private static string Stored(int port) => $"FDSTORE=1\nFDNAME={NameOf(port)}\nFDPOLL=0";

    private Task<SampleProcess> StartAsync(params IEnumerable<string> more) => HandoverServer.StartAsync(Arguments(more));

    private Task<SampleProcess> ContainerAsync(params IEnumerable<string> more)
    {
        Assert.SkipUnless(Environment.UserName == "root", "Only root can start a process in a namespace of its own.");
        return SampleProcess.StartAsync(HandoverServer.Command(RequiredProgram.Find("unshare", "util-linux"), Arguments(more), "--pid", "--fork", "--mount-proc", "--kill-child"));
    }

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
