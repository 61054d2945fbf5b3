using System.Net;
using System.Text.RegularExpressions;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>Kestrel's reload of its configuration that removes an endpoint: its connections are drained as at a stop, the others do not notice.</summary>
public partial class ConfigurationReloadTests
{
    private const int MessageBytes = 1000;
    private const int LoadCount = 2;
    private const string RemovedKey = "Kestrel:Endpoints:Removed:Url";
    private const string KeptKey = "Kestrel:Endpoints:Kept:Url";

    private readonly ReloadableConfiguration _configuration = new();
    private ListenOptions? _removed;
    private ListenOptions? _kept;

    [Fact]
    public async Task Reload_EndpointIsRemoved_ItsConnectionsEndWellAndTheOthersGoOn()
    {
        const int idleCount = 10;
        await using var server = await StartAsync();
        await using var load = await EchoLoad.StartAsync(_kept!.EndPoint, LoadCount);
        await using var busy = await ScriptedPeer.ConnectAsync(_removed!.EndPoint);
        await busy.SendAsync(new byte[MessageBytes / 2]);
        var idle = await Task.WhenAll(Enumerable.Range(0, idleCount).Select(_ => ScriptedPeer.ConnectAsync(_removed.EndPoint)));
        await Eventually.IsTrueAsync(() => Is(busy, ConnectionActivity.Busy) && idle.All(peer => Is(peer, ConnectionActivity.Idle))); // The kernel resets whom nobody has accepted.

        _configuration.Remove(RemovedKey);

        foreach (var peer in idle)
        {
            Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
            await peer.DisposeAsync();
        }

        await busy.SendAsync(new byte[MessageBytes / 2]);
        Assert.Equal((MessageBytes, PeerSaw.Eof), await busy.ReadToEndAsync());
        busy.HalfClose();
        for (var i = 0; i <= idleCount; i++)
        {
            var result = await server.NextResultAsync();
            Assert.Equal((CloseReason.Drain, CloseOutcome.Graceful), (result.Reason, result.Outcome));
        }

        await Eventually.IsTrueAsync(() => server.Drain.ConnectionCount == LoadCount); // A connection ends a little before it is forgotten.
        await load.GoesOnAsync();
        Assert.All(server.Drain.GetConnections(), info => Assert.True(load.Has(info) && !info.IsCloseRequested));
        Assert.Equal(DrainPhase.Serving, server.Drain.Phase);
        await using (var newcomer = await EchoLoad.StartAsync(_kept.EndPoint, peerCount: 1))
        {
            await newcomer.StopAsync();
        }

        await load.StopAsync();

        bool Is(ScriptedPeer peer, ConnectionActivity activity) =>
            server.Drain.GetConnections().Any(connection => connection.Activity == activity && peer.IsPeerOf(connection));
    }

    // Kestrel itself aborts them after 5 s, and would not say what was lost. A machine that is busy can be late by the half second that we are earlier by default.
    [Fact]
    public async Task Reload_ConnectionStaysBusy_IsAbortedAtDrainTimeoutAndNotByKestrel()
    {
        using var log = new CapturedLog();
        await using var server = await StartAsync(drain => drain.DrainTimeout = TimeSpan.FromMilliseconds(500), builder => builder.Logging.SetMinimumLevel(LogLevel.Debug).AddProvider(log));
        await using var busy = await ScriptedPeer.ConnectAsync(_removed!.EndPoint);
        await busy.SendAsync(new byte[MessageBytes / 2]);
        await Eventually.IsTrueAsync(() => server.Drain.GetConnections() is [{ Activity: ConnectionActivity.Busy }]);

        _configuration.Remove(RemovedKey);

        Assert.Equal((0, PeerSaw.Reset), await busy.ReadToEndAsync());
        var result = await server.NextResultAsync();
        Assert.Equal((CloseReason.Drain, CloseOutcome.Aborted), (result.Reason, result.Outcome));
        await Eventually.IsTrueAsync(() => log.Entries.Any(static entry => entry.Message.StartsWith("The drain aborted 1 connection, ", StringComparison.Ordinal)));
        Assert.DoesNotContain(log.Entries, static entry => entry.Message.Contains("failed to close gracefully", StringComparison.OrdinalIgnoreCase));
        Assert.Equal(DrainPhase.Serving, server.Drain.Phase);
    }

    [Fact]
    public async Task Reload_LongDrainTimeout_HasLessTimeThanKestrelGives()
    {
        using var log = new CapturedLog();
        await using var server = await StartAsync(build: builder => builder.Logging.AddProvider(log));
        for (var round = 0; round < 2; round++)
        {
            await using var busy = await ScriptedPeer.ConnectAsync((round == 0 ? _removed : _kept)!.EndPoint);
            await busy.SendAsync(new byte[MessageBytes / 2]);
            await Eventually.IsTrueAsync(() => server.Drain.GetConnections().Any(busy.IsPeerOf));

            _configuration.Remove(round == 0 ? RemovedKey : KeptKey);

            await Eventually.IsTrueAsync(() => log.Entries.Count(static entry => LessThanFive().IsMatch(entry.Message)) == round + 1);
            busy.Reset();
            await Eventually.IsTrueAsync(() => server.Drain.ConnectionCount == 0);
        }
    }

    // Kestrel asks them at once, and aborts them after 5 s. It also watches the files of its certificates, of which no configuration tells.
    [Theory]
    [InlineData(Moment.Serving, false)]
    [InlineData(Moment.Serving, true)]
    [InlineData(Moment.DrainSteps, true)]
    [InlineData(Moment.LiveDrain, true)]
    public async Task Reload_RequestsAreSpread_ConnectionIsAskedBeforeKestrelAborts(Moment moment, bool isOfHost)
    {
        var (stock, graceful) = (await ReloadAsync(null, isOfHost), await ReloadAsync(moment, isOfHost));

        Assert.Equal((PeerSaw.Eof, PeerSaw.Eof), (stock, graceful));
    }

    // A busy machine may be late, and have less time left.
    [GeneratedRegex(@"What is left after [0-4](\.\d)? s will be aborted")]
    private static partial Regex LessThanFive();

    // Stock Kestrel without a moment.
    private static async Task<PeerSaw> ReloadAsync(Moment? moment, bool isOfHost)
    {
        var configuration = new ReloadableConfiguration();
        configuration.Set(RemovedKey, "http://127.0.0.1:0");
        configuration.Set(KeptKey, "http://127.0.0.1:0");
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        IConfigurationBuilder kestrels = isOfHost ? builder.Configuration : new ConfigurationBuilder();
        kestrels.Add(configuration);
        var (stepBegan, stepMayEnd) = (new TaskCompletionSource(), new TaskCompletionSource());
        if (moment is not null)
        {
            builder.Services.AddGracefulShutdown(drain => (drain.DrainTimeout, drain.SpreadWindow) = (2 * TestServer.TestLimit, TestServer.TestLimit));
        }

        if (moment == Moment.DrainSteps)
        {
            builder.Services.AddDrainStep("step", (_, _) =>
            {
                stepBegan.SetResult();
                return stepMayEnd.Task;
            });
        }

        ListenOptions? removed = null;
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Configure(kestrels.Build().GetSection("Kestrel"), reloadOnChange: true).Endpoint("Removed", endpoint =>
        {
            removed ??= endpoint.ListenOptions;
            (moment is null ? endpoint.ListenOptions : endpoint.ListenOptions.UseGracefulShutdown()).Run(async connection =>
            {
                await connection.SendAsync(1);
                await Task.Delay(Timeout.InfiniteTimeSpan, connection.Features.Get<IConnectionLifetimeNotificationFeature>()!.ConnectionClosedRequested)
                    .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            });
        }));
        await using var app = builder.Build();
        await app.StartAsync().InTimeAsync();
        var peer = await ScriptedPeer.ConnectAsync(removed!.EndPoint);
        await peer.ReadExactlyAsync(1);
        var drain = app.Services.GetService<IDrainCoordinator>();
        var stopping = Task.CompletedTask;
        if (moment == Moment.DrainSteps)
        {
            stopping = app.StopAsync();
            await stepBegan.Task.InTimeAsync();
        }
        else if (moment == Moment.LiveDrain)
        {
            stopping = drain!.DrainAsync();
            await Eventually.IsTrueAsync(() => drain.DrainStarted.IsCancellationRequested);
        }

        configuration.Remove(RemovedKey);

        var (_, saw) = await peer.ReadToEndAsync();
        await peer.DisposeAsync();
        stepMayEnd.SetResult();
        await stopping.InTimeAsync();
        return saw;
    }

    private Task<TestServer> StartAsync(Action<ServerDrainOptions>? drain = null, Action<WebApplicationBuilder>? build = null)
    {
        _configuration.Set(RemovedKey, "http://127.0.0.1:0");
        _configuration.Set(KeptKey, "http://127.0.0.1:0");
        return TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (server, endpoint) =>
            {
                endpoint.Run(static _ => Task.CompletedTask); // Nobody connects here.
                endpoint.KestrelServerOptions.Configure(endpoint.ApplicationServices.GetRequiredService<IConfiguration>().GetSection("Kestrel"), reloadOnChange: true)
                    .Endpoint("Removed", removed => Serve(server, removed, ref _removed, static connection => connection.ServeMessagesAsync(MessageBytes)))
                    .Endpoint("Kept", kept => Serve(server, kept, ref _kept, HandlerSteps.EchoAsync));
            },
            builder =>
            {
                ((IConfigurationBuilder)builder.Configuration).Add(_configuration);
                TestServer.AddPatientDrain(builder, drain);
                build?.Invoke(builder);
            });
    }

    // Called at every load of the configuration; the first one binds.
    private static void Serve(TestServer server, EndpointConfiguration endpoint, ref ListenOptions? bound, ConnectionDelegate handler)
    {
        bound ??= endpoint.ListenOptions;
        endpoint.ListenOptions.UseGracefulShutdown().Use(server.ObserveResults).Run(connection => handler(connection));
    }

    /// <summary>When the configuration is reloaded.</summary>
    public enum Moment
    {
        Serving,

        /// <summary>While the steps of a stop run.</summary>
        DrainSteps,

        /// <summary>While the whole server drains without a stop.</summary>
        LiveDrain,
    }
}
