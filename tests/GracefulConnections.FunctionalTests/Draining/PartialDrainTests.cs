using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary><c>DrainAsync(filter)</c>: the chosen connections end, and the others go on under load as if nothing had happened.</summary>
public class PartialDrainTests
{
    private const int ChosenCount = 20;
    private const int LoadCount = 4;

    [Fact]
    public async Task Drain_ByLocalEndPoint_EndsTheConnectionsOfThatEndpointOnly()
    {
        ListenOptions? second = null;
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync, build: builder => builder.WebHost.ConfigureKestrel(kestrel =>
            kestrel.Listen(IPAddress.Loopback, 0, endpoint => (second = endpoint).UseGracefulShutdown().Run(HandlerSteps.EchoAsync))));
        await using var load = await EchoLoad.StartAsync(second!.EndPoint, LoadCount);
        var chosen = await ConnectAsync(server);

        await DrainUnderLoadAsync(server, load, chosen, info => server.EndPoint.Equals(info.LocalEndPoint));
    }

    [Fact]
    public async Task Drain_ByAge_EndsTheOlderConnectionsOnly()
    {
        var time = new FakeTimeProvider();
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync, build: builder => builder.Services.AddSingleton<TimeProvider>(time));
        var chosen = await ConnectAsync(server);
        time.Advance(TimeSpan.FromHours(1));
        await using var load = await EchoLoad.StartAsync(server.EndPoint, LoadCount);

        await DrainUnderLoadAsync(server, load, chosen, static info => info.Age >= TimeSpan.FromHours(1), time);
    }

    [Fact]
    public async Task Drain_ById_EndsThoseConnectionsOnly()
    {
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync);
        await using var load = await EchoLoad.StartAsync(server.EndPoint, LoadCount);
        var chosen = await ConnectAsync(server);
        var ids = server.Drain.GetConnections().Where(info => chosen.Exists(peer => peer.IsPeerOf(info))).Select(static info => info.ConnectionId).ToHashSet();

        await DrainUnderLoadAsync(server, load, chosen, info => ids.Contains(info.ConnectionId));
    }

    [Fact]
    public async Task Drain_PartAfterPart_EndsEachOnceAndTheServerGoesOnServing()
    {
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync);
        await using var load = await EchoLoad.StartAsync(server.EndPoint, LoadCount);
        for (var i = 0; i < 3; i++)
        {
            var chosen = await ConnectAsync(server);
            await DrainUnderLoadAsync(server, load, chosen, info => chosen.Exists(peer => peer.IsPeerOf(info)), stopLoad: false);
        }

        await load.StopAsync();
    }

    [Fact]
    public async Task Drain_FilterThrows_GoesToTheCallerAndNobodyIsAsked()
    {
        var fault = new InvalidOperationException("The filter's own.");
        await using var server = await TestServer.StartDrainingAsync(HandlerSteps.EchoAsync);
        await using var load = await EchoLoad.StartAsync(server.EndPoint, LoadCount);
        var asked = 0;

        var draining = server.DrainAsync(_ => ++asked < LoadCount ? true : throw fault);

        Assert.Same(fault, await Assert.ThrowsAsync<InvalidOperationException>(() => draining));
        await load.GoesOnAsync();
        Assert.All(server.Drain.GetConnections(), static info => Assert.False(info.IsCloseRequested));
        await load.StopAsync();
    }

    private static async Task<List<ScriptedPeer>> ConnectAsync(TestServer server)
    {
        var peers = new List<ScriptedPeer>();
        for (var i = 0; i < ChosenCount; i++)
        {
            peers.Add(await server.ConnectTrackedAsync());
        }

        return peers;
    }

    private static async Task DrainUnderLoadAsync(TestServer server, EchoLoad load, List<ScriptedPeer> chosen, Func<TrackedConnectionInfo, bool> filter, FakeTimeProvider? time = null, bool stopLoad = true)
    {
        await load.GoesOnAsync();

        var draining = server.DrainAsync(filter);

        // How long a peer has been silent is the kernel's own time: until that is enough, the server looks again.
        if (time is not null)
        {
            await Eventually.IsTrueAsync(() =>
            {
                time.Advance(TimeSpan.FromMilliseconds(10));
                return server.Drain.GetConnections().All(info => load.Has(info) || info.State != CloseState.Open);
            });
        }

        foreach (var peer in chosen)
        {
            Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
        }

        await load.GoesOnAsync(); // While the drain is under way.
        Assert.False(draining.IsCompleted);
        foreach (var peer in chosen)
        {
            await peer.DisposeAsync();
        }

        var report = await draining;
        Assert.Equal((ChosenCount, ChosenCount), (report.ConnectionCount, report.DeliveredCount));
        Assert.Equal((DrainPhase.Serving, LoadCount), (server.Drain.Phase, server.Drain.ConnectionCount));
        Assert.All(server.Drain.GetConnections(), info => Assert.True(load.Has(info) && !info.IsCloseRequested));
        await load.GoesOnAsync();
        if (stopLoad)
        {
            await load.StopAsync();
        }
    }
}
