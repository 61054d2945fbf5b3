using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using GracefulConnections.FunctionalTests.Draining;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// A kernel that answers falsely about its sockets: what the peer gets is right all the same, and what is told of it is
/// right or not told. The server is a process of its own, because a process asks once whether its kernel can be trusted.
/// </summary>
public sealed partial class FalseKernelTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public static TheoryData<string, string> Lies { get; } = new()
    {
        { FalseKernel.Queue, "zero" },
        { FalseKernel.Queue, "huge" },
        { FalseKernel.Queue, "fails" },
        { FalseKernel.Info, "zeros" },
        { FalseKernel.Info, "short" },
        { FalseKernel.Info, "fails" },
    };

    public void Dispose() => _directory.Dispose();

    [Theory]
    [MemberData(nameof(Lies))]
    public async Task Close_KernelLies_PeerHasEverythingOrIsToldOf(string about, string how)
    {
        Dictionary<string, string> lie = new()
        {
            ["LD_PRELOAD"] = await FalseKernel.CompileAsync(_directory),
            [about] = how,
        };
        var starting = StopServer.StartAsync(lie, "--Stock", "true");
        await using var ours = await StopServer.StartAsync(
            lie, "--Stall", "00:00:00.5", "--Logging:LogLevel:GracefulConnections", "Debug");
        await using var stock = await starting;
        var knowsQueue = about != FalseKernel.Queue;

        Assert.Equal((StopServer.LargeReplyBytes, PeerSaw.Eof), await ReadLargeReplyAsync(stock, isUploading: false));
        Assert.Equal((StopServer.LargeReplyBytes, PeerSaw.Eof), await ReadLargeReplyAsync(ours, isUploading: false));
        Assert.Equal((CloseOutcome.Graceful, Known(0)), await CloseAsync(ours, 0));
        Assert.Equal((StopServer.LargeReplyBytes, PeerSaw.Eof), await ReadLargeReplyAsync(ours, isUploading: true));
        Assert.Equal((CloseOutcome.Graceful, Known(0)), await CloseAsync(ours, 1));

        await using (var stuck = await SampleProcess.ConnectAsync(ours.Ports[1], SmallWindow))
        {
            await stuck.SendAsync(StopServer.StuckReply);
            var (outcome, unacknowledged) = await CloseAsync(ours, 2);
            Assert.Equal((CloseOutcome.FlushTimedOut, knowsQueue), (outcome, unacknowledged is not null));
            Assert.Equal(PeerSaw.Reset, await stuck.AbortArrivesAsync());
            var (received, _) = await stuck.ReadToEndAsync();
            var missed = StopServer.StuckReplyBytes - received;
            Assert.InRange(unacknowledged ?? missed, missed, missed + TestServer.LargestSend);
        }

        await using (var resetting = await SampleProcess.ConnectAsync(ours.Ports[0], SmallWindow))
        {
            await resetting.SendAsync(StopServer.StuckReply);
            await resetting.ReadExactlyAsync(1);
            resetting.Reset();
            var (outcome, unacknowledged) = await CloseAsync(ours, 3);
            Assert.Equal(CloseOutcome.PeerReset, outcome);
            Assert.True(unacknowledged is null or > 0, $"{unacknowledged} bytes are unacknowledged.");
        }

        ours.Terminate();
        stock.Terminate();
        Assert.Equal((0, 0), (await ours.WaitForExitAsync(), await stock.WaitForExitAsync()));

        long? Known(long bytes) => knowsQueue ? bytes : null;
    }

    // As behind a firewall that lets the peers through and drops what the machine sends to itself.
    [Fact]
    public async Task Start_ConnectionToItselfIsDropped_IsTriedOnceAndBeforeAPeerComes()
    {
        Dictionary<string, string> lie = new()
        {
            ["LD_PRELOAD"] = await FalseKernel.CompileAsync(_directory),
            [FalseKernel.Connect] = "stalls",
        };
        await using var server = await StopServer.StartAsync(lie, "--Logging:LogLevel:GracefulConnections", "Debug");

        await server.LogContainsAsync(FalseKernel.Stalled);

        Assert.Equal((StopServer.LargeReplyBytes, PeerSaw.Eof), await ReadLargeReplyAsync(server, isUploading: false));
        Assert.Equal((CloseOutcome.Graceful, (long?)null), await CloseAsync(server, 0));
        Assert.InRange(server.Log.Split(FalseKernel.Stalled).Length - 1, 1, 2); // IPv4, and IPv6 where there is any.
    }

    // Whether the upstream has what the peer had sent before it went cannot be seen: a reset might take it back.
    [Fact]
    public async Task Relay_QueueIsNotTold_SlowUpstreamGetsEverythingThatThePeerHadSent()
    {
        const int uploadBytes = 100_000; // The kernels on both sides take it, and the upstream's own a part only.
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.ReceiveBufferSize = 16 * 1024;
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        var start = new ProcessStartInfo(
            "dotnet",
            [
                SampleProcess.FindAssembly("samples", "TcpProxy"),
                "--Proxy:Listen", "127.0.0.1:0",
                "--Proxy:Connect", $"{listener.LocalEndPoint}",
                "--Logging:LogLevel:Default", "Debug",
            ]);
        start.Environment["LD_PRELOAD"] = await FalseKernel.CompileAsync(_directory);
        start.Environment[FalseKernel.Queue] = "fails";
        await using var proxy = await SampleProcess.StartAsync(start);
        await using var peer = await SampleProcess.ConnectAsync(proxy.Ports[0]);
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        await using var upstream = new ScriptedPeer(await listener.AcceptAsync(limit.Token));
        await peer.SendAsync(new byte[uploadBytes]);
        peer.HalfClose();
        await proxy.LogContainsAsync("received FIN");
        peer.Reset();

        await upstream.SendAsync(new byte[1]);
        await proxy.LogContainsAsync("closed: PeerReset");
        await Pace.PauseAsync(TimeSpan.FromSeconds(1)); // The upstream takes its time.

        Assert.Equal((uploadBytes, PeerSaw.Eof), await upstream.ReadToEndAsync());
    }

    private static void SmallWindow(Socket socket) => socket.ReceiveBufferSize = 64 * 1024;

    private static async Task<(long, PeerSaw)> ReadLargeReplyAsync(SampleProcess server, bool isUploading)
    {
        await using var peer = await SampleProcess.ConnectAsync(server.Ports[0], SmallWindow);
        await peer.SendAsync(StopServer.LargeReply);
        if (isUploading)
        {
            peer.StartUpload();
        }

        var seen = await peer.ReadToEndAsync();
        if (isUploading)
        {
            await peer.StopUploadAsync();
        }

        peer.HalfClose();
        return seen;
    }

    // The server logs each close, in the order of their ends.
    private static async Task<(CloseOutcome Outcome, long? Unacknowledged)> CloseAsync(SampleProcess server, int index)
    {
        await Eventually.IsTrueAsync(() => Closed().Count(server.Log) > index);
        var close = Closed().Matches(server.Log)[index].Groups;
        return (
            Enum.Parse<CloseOutcome>(close[1].ValueSpan),
            long.TryParse(close[2].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out var bytes) ? bytes : null);
    }

    [GeneratedRegex(@" closed: (\w+) \(.* discarded, (\S+) bytes unacknowledged")]
    private static partial Regex Closed();
}
