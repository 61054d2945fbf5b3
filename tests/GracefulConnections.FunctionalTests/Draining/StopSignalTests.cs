using System.Diagnostics;
using System.Text.RegularExpressions;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>Signals to real processes that stop already, and what must not hold their exit.</summary>
[Collection(SerialTests.Name)]
public partial class StopSignalTests(ITestOutputHelper output)
{
    private const int BlockedCount = 200;
    private const int ManyCount = 1_100;
    private const string AbortRequested = "Asked again to stop";
    private static readonly TimeSpan DrainTimeout = TimeSpan.FromSeconds(2);

    // What is left after the deadline: the grace of the aborted connections, the host's own steps and the exit.
    private static readonly TimeSpan ExitTime = TimeSpan.FromSeconds(2);

    private static readonly string[] Patient =
        ["--Drain:DrainTimeout", "00:05:00", "--Drain:LingerIdleTimeout", "00:05:00", "--Host:ShutdownTimeout", "00:10:00"];

    [Fact]
    public async Task Terminate_TwiceAndAgain_IsOneRequestAndTheReplyArrives()
    {
        await using var server = await StopServer.StartAsync(["--Work", "00:00:02", .. Patient]);
        await using var busy = await WorkAsync(server);

        server.Terminate();
        server.Terminate();
        await SecondHasPassedAsync(server); // Beyond the time in which any signal is the same request.
        server.Terminate();

        Assert.Equal((StopServer.ReplyBytes + StopServer.Goodbye.Length, PeerSaw.Eof), await busy.ReadToEndAsync());
        busy.HalfClose();
        Assert.Equal(0, await server.WaitForExitAsync());
        Assert.DoesNotContain(AbortRequested, server.Log, StringComparison.Ordinal);
    }

    // What stock does with a second SIGTERM: nothing.
    [Fact]
    public async Task Terminate_TwiceToStockKestrel_TheReplyArrives()
    {
        await using var server = await StopServer.StartAsync(
            "--Stock", "true", "--Work", "00:00:01", "--Host:ShutdownTimeout", "00:00:03");
        await using var busy = await WorkAsync(server);

        server.Terminate();
        server.Terminate();

        Assert.Equal((StopServer.ReplyBytes, PeerSaw.Reset), await busy.ReadToEndAsync()); // Reset once nobody waits.
        await server.WaitForExitAsync();
    }

    [Fact]
    public async Task Interrupt_GroupOfDotnetRun_IsOneRequestAndTheReplyArrives()
    {
        await using var server = await StopServer.RunAsync(["--Work", "00:00:02", .. Patient]);
        await using var busy = await WorkAsync(server);

        server.InterruptGroup();

        Assert.Equal((StopServer.ReplyBytes + StopServer.Goodbye.Length, PeerSaw.Eof), await busy.ReadToEndAsync());
        busy.HalfClose();
        Assert.Equal(0, await server.WaitForExitAsync());
        Assert.DoesNotContain(AbortRequested, server.Log, StringComparison.Ordinal);
    }

    // Nobody is served yet, so there is nothing to announce or to drain.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Interrupt_HostIsStarting_EndsAtOnceAsOnStock(bool terminates)
    {
        string[] delay = ["--Drain:AnnounceDelay", "00:05:00", .. Patient];
        await using var stock = StopServer.StartForEver("--Stock", "true");
        await using var graceful = StopServer.StartForEver(delay);
        SampleProcess[] both = [stock, graceful];
        foreach (var server in both)
        {
            await server.LogContainsAsync("Starting for ever.");
            Action end = terminates ? server.Terminate : server.Interrupt;
            end();
        }

        var exitCodes = await Task.WhenAll(both.Select(static server => server.WaitForExitAsync()));

        Assert.Equal(exitCodes[0], exitCodes[1]);
        Assert.DoesNotContain("The drain was announced", graceful.Log, StringComparison.Ordinal);
    }

    // On a busy machine the stop may begin long behind the signal that asks for it, which is the first request still.
    [Theory]
    [InlineData("00:00:00")]
    [InlineData("00:00:01")]
    public async Task Interrupt_AfterTerminate_AbortsWhatIsLeftNow(string signalTime)
    {
        await using var server = await StopServer.StartAsync(
            ["--Work", "01:00:00", "--SlowSignal", signalTime, .. Patient]);
        await using var busy = await WorkAsync(server);

        server.Terminate();
        await SecondHasPassedAsync(server);
        server.Interrupt();

        Assert.Equal((0, PeerSaw.Reset), await busy.ReadToEndAsync());
        Assert.Equal(0, await server.WaitForExitAsync());
        Assert.Contains($"{AbortRequested} (SIGINT): aborting 1 connection now.", server.Log, StringComparison.Ordinal);
        Assert.Contains("The host stops without it.", server.Log, StringComparison.Ordinal); // It works for an hour.
    }

    [Fact]
    public async Task Interrupt_FirstAfterStopByCode_IsNoSecondRequest()
    {
        await using var server = await StopServer.StartAsync(["--Work", "00:00:02", .. Patient]);
        await using var busy = await WorkAsync(server);
        await using var stopper = await SampleProcess.ConnectAsync(server.Ports[0]);
        await stopper.SendAsync(StopServer.Stop);

        await SecondHasPassedAsync(server);
        server.Interrupt();

        Assert.Equal((StopServer.ReplyBytes + StopServer.Goodbye.Length, PeerSaw.Eof), await busy.ReadToEndAsync());
        await stopper.ReadToEndAsync();
        busy.HalfClose();
        stopper.HalfClose();
        Assert.Equal(0, await server.WaitForExitAsync());
        Assert.DoesNotContain(AbortRequested, server.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Terminate_TwoHostsInOneProcess_BothStop()
    {
        await using var server = await StopServer.StartAsync(["--Twin", "true", "--Work", "00:00:01", .. Patient]);
        await Eventually.IsTrueAsync(() => server.Log.Split("Application started.").Length - 1 == 2); // Else the start ends.
        await using var busy = await WorkAsync(server);

        server.Terminate();

        Assert.Equal((StopServer.ReplyBytes + StopServer.Goodbye.Length, PeerSaw.Eof), await busy.ReadToEndAsync());
        busy.HalfClose();
        Assert.Equal(0, await server.WaitForExitAsync());
        Assert.Equal(2, server.Log.Split("The drain was announced").Length - 1);
    }

    [Fact]
    public async Task Terminate_CallbackNeverReturns_ExitsWithTheDrain()
    {
        await using var server = await StopServer.StartAsync(["--StuckCallback", "true", .. Patient]);
        await using var idle = await SampleProcess.ConnectAsync(server.Ports[0]);
        await idle.SendAsync(StopServer.Ping);
        await idle.ReadExactlyAsync(1);

        server.Terminate();

        Assert.Equal((StopServer.Goodbye.Length, PeerSaw.Eof), await idle.ReadToEndAsync());
        idle.HalfClose();
        Assert.Equal(0, await server.WaitForExitAsync());
        Assert.Contains("The callbacks of DrainAnnounced have not returned", server.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Terminate_HandlersBlockAllThreads_AnnouncesAtOnceAndExitsByTheDeadline()
    {
        await using var server = await StopServer.StartUrgentAsync(
            "--MinThreads", $"{BlockedCount - 10}", "--Drain:DrainTimeout", $"{DrainTimeout}");
        var peers = await Task.WhenAll(Enumerable.Range(0, BlockedCount).Select(_ => BlockAsync(server)));
        await peers[^1].AllAcknowledgedAsync();

        var started = Stopwatch.GetTimestamp();
        server.Terminate();
        await server.LogContainsAsync("The drain was announced");
        var announced = Stopwatch.GetElapsedTime(started);
        Assert.Equal(0, await server.WaitForExitAsync());
        var exited = Stopwatch.GetElapsedTime(started);

        output.WriteLine($"Announced after {announced.TotalSeconds:0.000} s, exit after {exited.TotalSeconds:0.00} s.");
        Assert.True(announced < DrainTimeout / 2, $"announced after {announced}");
        Assert.True(exited < DrainTimeout + ExitTime, $"exited after {exited}: {server.Log}");
        await Task.WhenAll(peers.Select(static peer => peer.DisposeAsync().AsTask()));
    }

    // So many that threads of the pool would help, if one were free.
    [Fact]
    public async Task GetConnections_HandlersBlockAllOtherThreads_Answers()
    {
        await using var server = await StopServer.StartAsync();
        var peers = await Task.WhenAll(Enumerable.Range(0, ManyCount).Select(_ => SampleProcess.ConnectAsync(server.Ports[0])));
        foreach (var peer in peers)
        {
            await peer.SendAsync(StopServer.Ping);
            await peer.ReadExactlyAsync(1); // It is served, and so it is among all connections.
        }

        await peers[0].SendAsync(StopServer.GetConnections);

        await peers[0].ReadExactlyAsync(1);
        await Task.WhenAll(peers.Select(static peer => peer.DisposeAsync().AsTask()));
    }

    [GeneratedRegex(@"connections? left after [1-9]\d*\.\d s")]
    private static partial Regex ReportAfterASecond();

    private static Task SecondHasPassedAsync(SampleProcess server) =>
        Eventually.IsTrueAsync(() => ReportAfterASecond().IsMatch(server.Log), "The server reports after a second.");

    private static async Task<ScriptedPeer> WorkAsync(SampleProcess server)
    {
        var peer = await SampleProcess.ConnectAsync(server.Ports[0]);
        await peer.SendAsync(StopServer.Ping);
        await peer.ReadExactlyAsync(1);
        await peer.SendAsync(StopServer.Work);
        await peer.AllAcknowledgedAsync();
        return peer;
    }

    private static async Task<ScriptedPeer> BlockAsync(SampleProcess server)
    {
        var peer = await SampleProcess.ConnectAsync(server.Ports[0]);
        await peer.SendAsync(StopServer.Block);
        return peer;
    }
}
