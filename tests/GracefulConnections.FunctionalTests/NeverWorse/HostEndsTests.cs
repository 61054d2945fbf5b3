using System.Net;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// A host ends while the kernel has everything of a reply whose handler has returned, and a slow peer has not. Stock has
/// let go of that connection, and the kernel delivers on.
/// </summary>
public class HostEndsTests
{
    private const int ReplyBytes = 1_000_000;

    /// <summary>How a host ends.</summary>
    public enum Ending
    {
        /// <summary>It is disposed, and was not stopped.</summary>
        Dispose,

        /// <summary>Its stop may take no time.</summary>
        StopCancelled,

        /// <summary>Its stop takes longer than it may.</summary>
        StopCutOff,

        /// <summary>Its drain takes longer than it may.</summary>
        DrainTimeout,
    }

    [Theory]
    [InlineData(Ending.Dispose, false)]
    [InlineData(Ending.Dispose, true)]
    [InlineData(Ending.StopCancelled, false)]
    [InlineData(Ending.StopCancelled, true)]
    [InlineData(Ending.StopCutOff, false)]
    [InlineData(Ending.StopCutOff, true)]
    [InlineData(Ending.DrainTimeout, true)]
    public async Task HostEnds_KernelHasTheReply_PeerGetsAllOfIt(Ending ending, bool drains)
    {
        var stock = await PlayAsync(ending, isOurs: false, drains: false);
        var ours = await PlayAsync(ending, isOurs: true, drains);

        Assert.Equal((ReplyBytes, PeerSaw.Eof), stock.Peer);
        Assert.Equal((ReplyBytes, PeerSaw.Eof), ours.Peer);
        Assert.Equal(CloseOutcome.Aborted, ours.Close!.Value.Outcome);
    }

    // There the server's own pipe passes on what TLS made of the reply, and FIN is the server's.
    [Theory]
    [InlineData(Ending.Dispose, false)]
    [InlineData(Ending.StopCancelled, true)]
    [InlineData(Ending.StopCutOff, false)]
    [InlineData(Ending.DrainTimeout, true)]
    public async Task HostEnds_InsideOfTls_KernelHasTheReply_PeerGetsAllOfIt(Ending ending, bool drains)
    {
        var stock = await PlayTlsAsync(ending, isOurs: false, drains: false);
        var ours = await PlayTlsAsync(ending, isOurs: true, drains);

        Assert.Equal(ReplyBytes, stock.Bytes);
        Assert.NotEqual(TlsPeerSaw.Reset, stock.End);
        Assert.Equal((ReplyBytes, TlsPeerSaw.CloseNotify), ours);
    }

    // Its handler works on while the host stops, and is done before the host has enough of it.
    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public async Task StopIsCutOff_HandlerReturnedMeanwhile_PeerGetsAllOfItAndNoDescriptorIsLeft(bool isOurs, bool isInsideTls)
    {
        var serving = new TaskCompletionSource<ConnectionContext>(TaskCreationOptions.RunContinuationsAsynchronously);
        var (app, port, connections) = await StartAsync(
            isOurs,
            drains: false,
            TestServer.TestLimit,
            isInsideTls ? static endpoint => endpoint.UseHttps(TestCertificate.Server) : null,
            async connection =>
            {
                var requested = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                connection.Features.Get<IConnectionLifetimeNotificationFeature>()!.ConnectionClosedRequested
                    .Register(requested.SetResult);
                serving.SetResult(connection);
                await requested.Task.InTimeAsync();
            });
        await using var ends = app;
        await using var plain = isInsideTls ? null : await ConnectAsync(port);
        await using var tls = isInsideTls ? await ConnectTlsAsync(port) : null;
        var socket = (await serving.Task.InTimeAsync()).Features.Get<IConnectionSocketFeature>()!.Socket;
        var name = new FileInfo($"/proc/self/fd/{socket.Handle}").LinkTarget;
        using var impatience = new CancellationTokenSource();
        var stopping = app.StopAsync(impatience.Token);
        await connections.Task.InTimeAsync();
        await Eventually.IsTrueAsync(() => CountDescriptors(name) == (isOurs ? 2 : 0)); // Stock has let go of it.

        await impatience.CancelAsync();

        await stopping.InTimeAsync();
        await Eventually.IsTrueAsync(() => CountDescriptors(name) == 0);
        if (plain is not null)
        {
            Assert.Equal((ReplyBytes, PeerSaw.Eof), await plain.ReadToEndAsync());
        }
        else
        {
            var (bytes, end) = await tls!.ReadToEndAsync();
            Assert.Equal(ReplyBytes, bytes);
            Assert.NotEqual(TlsPeerSaw.Reset, end);
        }
    }

    // An abort stays one: who wants the connection gone at once has it so.
    [Fact]
    public async Task AbortedByTheCoordinator_WhileTheHostDrains_IsReset()
    {
        var (app, port, connections) = await StartAsync(isOurs: true, drains: true, TestServer.TestLimit);
        await using var ends = app;
        await using var peer = await ConnectAsync(port);
        var connection = await connections.Task.InTimeAsync();
        await HasFinInKernelAsync(port);
        var stopping = app.StopAsync(CancellationToken.None);
        var drain = app.Services.GetRequiredService<IDrainCoordinator>();
        await Eventually.IsTrueAsync(() => drain.Phase == DrainPhase.Draining);

        Assert.True(drain.Abort(connection.ConnectionId));

        await stopping.InTimeAsync();
        await AssertResetAsync(peer);
    }

    [Fact]
    public async Task AbortedByTheApplication_WhileTheServerStops_IsReset()
    {
        var requested = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var (app, port, connections) = await StartAsync(
            isOurs: true,
            drains: false,
            TestServer.TestLimit,
            // Its callback runs behind the library's, which was registered later.
            endpoint => endpoint.Use(next => connection =>
            {
                connection.Features.Get<IConnectionLifetimeNotificationFeature>()!.ConnectionClosedRequested
                    .Register(requested.SetResult);
                return next(connection);
            }));
        await using var ends = app;
        await using var peer = await ConnectAsync(port);
        var connection = await connections.Task.InTimeAsync();
        await HasFinInKernelAsync(port);
        var stopping = app.StopAsync(CancellationToken.None);
        await requested.Task.InTimeAsync();

        connection.Abort(new ConnectionAbortedException("It is not wanted any more."));

        await stopping.InTimeAsync();
        await AssertResetAsync(peer);
    }

    private static async Task AssertResetAsync(ScriptedPeer peer)
    {
        var (received, end) = await peer.ReadToEndAsync();
        Assert.Equal(PeerSaw.Reset, end);
        Assert.InRange(received, 0, ReplyBytes - 1);
    }

    private static async Task<(long Bytes, TlsPeerSaw End)> PlayTlsAsync(Ending ending, bool isOurs, bool drains)
    {
        var (app, port, connections) = await StartAsync(
            isOurs, drains, PatienceOf(ending), static endpoint => endpoint.UseHttps(TestCertificate.Server));
        TlsPeer peer;
        await using (app)
        {
            peer = await ConnectTlsAsync(port);
            await connections.Task.InTimeAsync();
            var (last, sameLooks) = (0L, 0); // Nothing tells when it has everything.
            await Eventually.IsTrueAsync(() =>
            {
                var queued = KernelSocket.OnPort(port).Max(static socket => socket.SendQueueBytes);
                (last, sameLooks) = (queued, queued == last && queued > 0 ? sameLooks + 1 : 0);
                return sameLooks == 40;
            });
            await EndAsync(app, ending);
        }

        await using (peer)
        {
            return await peer.ReadToEndAsync();
        }
    }

    private static TimeSpan PatienceOf(Ending ending) =>
        ending == Ending.DrainTimeout ? TimeSpan.FromMilliseconds(500) : TestServer.TestLimit;

    private static async Task EndAsync(WebApplication app, Ending ending)
    {
        using var impatience = ending switch
        {
            Ending.StopCancelled => new CancellationTokenSource(0),
            Ending.StopCutOff => new CancellationTokenSource(500),
            _ => new CancellationTokenSource(),
        };
        if (ending != Ending.Dispose)
        {
            await app.StopAsync(impatience.Token).InTimeAsync();
        }
    }

    private static async Task<((long Bytes, PeerSaw End) Peer, CloseResult? Close)> PlayAsync(
        Ending ending, bool isOurs, bool drains)
    {
        var (app, port, connections) = await StartAsync(isOurs, drains, PatienceOf(ending));
        Task<CloseResult>? closed;
        ScriptedPeer peer;
        await using (app)
        {
            peer = await ConnectAsync(port);
            closed = (await connections.Task.InTimeAsync()).Features.Get<IGracefulCloseFeature>()?.Closed;
            await HasFinInKernelAsync(port);
            await EndAsync(app, ending);
        }

        await using (peer)
        {
            return (await peer.ReadToEndAsync(), closed is null ? null : await closed.InTimeAsync());
        }
    }

    private static async Task<(WebApplication App, int Port, TaskCompletionSource<ConnectionContext> Connections)> StartAsync(
        bool isOurs, bool drains, TimeSpan patience, Action<ListenOptions>? before = null, Func<ConnectionContext, Task>? wait = null)
    {
        var connections = new TaskCompletionSource<ConnectionContext>(TaskCreationOptions.RunContinuationsAsynchronously);
        var port = FreePort.Find();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        if (drains)
        {
            builder.Services.AddGracefulShutdown(options => options.DrainTimeout = patience);
        }

        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = 2 * TestServer.TestLimit);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, endpoint =>
        {
            before?.Invoke(endpoint);
            if (isOurs)
            {
                endpoint.UseGracefulShutdown(static options => options.FlushStallTimeout = 2 * TestServer.TestLimit);
            }

            endpoint.Run(async connection =>
            {
                connection.Features.Get<IConnectionSocketFeature>()!.Socket.SendBufferSize = ReplyBytes;
                await (wait?.Invoke(connection) ?? Task.CompletedTask);
                await connection.Transport.Output.WriteAsync(new byte[ReplyBytes]);
                connections.TrySetResult(connection);
            });
        }));
        var app = builder.Build();
        await app.StartAsync();
        return (app, port, connections);
    }

    private static async Task<ScriptedPeer> ConnectAsync(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = 16 * 1024 };
        await socket.ConnectAsync(IPAddress.Loopback, port).InTimeAsync();
        return new ScriptedPeer(socket);
    }

    private static Task<TlsPeer> ConnectTlsAsync(int port) => TlsPeer.ConnectAsync(
        new IPEndPoint(IPAddress.Loopback, port), configure: static socket => socket.ReceiveBufferSize = 128 * 1024);

    private static int CountDescriptors(string? name) => new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos()
        .Count(descriptor => descriptor.LinkTarget == name);

    private static Task HasFinInKernelAsync(int port) => Eventually.IsTrueAsync(() => KernelSocket.OnPort(port)
        .Any(static socket => socket.State == KernelSocket.FinWait1));
}
