using GracefulConnections.Tests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Testing;

/// <summary>A host in memory, drained in virtual time.</summary>
public class InMemoryServerTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public async Task Stop_ConnectionsOfAllKinds_DrainsInVirtualTime()
    {
        await using var server = await InMemoryServer.StartAsync(EchoAsync, _time);
        InMemoryConnection[] connections = [.. Enumerable.Range(0, 3).Select(_ => server.Connect())];
        foreach (var connection in connections)
        {
            connection.Peer.Send("x\n");
            await connection.Peer.ReceiveUntilAsync("x\n");
        }

        connections[2].Peer.Vanish();
        var stop = server.StopAsync();
        await _time.UntilAsync(connections[0].Peer.EndedAsync());
        await _time.UntilAsync(connections[1].Peer.EndedAsync());
        connections[0].Peer.HalfClose();
        connections[1].Peer.Reset();
        await _time.UntilAsync(stop);

        var report = await server.Drain.DrainAsync();
        Assert.Equal(3, report.ConnectionCount);
        Assert.Equal(CloseOutcome.Graceful, (await connections[0].Closed).Outcome);
        Assert.Equal(CloseOutcome.PeerReset, (await connections[1].Closed).Outcome);
        Assert.Equal(CloseOutcome.LingerTimedOut, (await connections[2].Closed).Outcome);
    }

    [Fact]
    public async Task Drain_HandlerThatIsBusy_IsAbortedAtTheDeadlineOfTheClock()
    {
        var never = new TaskCompletionSource();
        await using var server = await InMemoryServer.StartAsync(
            _ => never.Task,
            _time,
            services: static services => services.Configure<ServerDrainOptions>(
                static options => options.DrainTimeout = TimeSpan.FromHours(1)));
        var connection = server.Connect();

        var drain = server.Drain.DrainAsync();
        await TestLimit.UntilAsync(() => server.Drain.Phase == DrainPhase.Draining);
        Assert.Null(connection.Peer.Report.End);
        await TestLimit.UntilAsync(() =>
        {
            _time.Advance(TimeSpan.FromMinutes(1));
            return drain.IsCompleted;
        });

        Assert.Equal(1, (await drain).Outcomes[CloseOutcome.Aborted]);
        Assert.Equal(PeerSaw.Reset, await connection.Peer.EndedAsync());
        never.SetResult();
    }

    [Fact]
    public async Task Running_HandlerThrows_FailsWithWhatItThrew()
    {
        await using var server = await InMemoryServer.StartAsync(static _ => throw new InvalidTimeZoneException(), _time);
        var connection = server.Connect();

        await _time.UntilAsync(connection.Peer.EndedAsync());
        connection.Peer.HalfClose();

        await Assert.ThrowsAsync<InvalidTimeZoneException>(() => connection.Running.WithinLimit());
    }

    [Fact]
    public async Task Start_OptionOutOfRange_IsRefused() =>
        await Assert.ThrowsAsync<OptionsValidationException>(() => InMemoryServer.StartAsync(
            EchoAsync, _time, static close => close.CloseTimeout = TimeSpan.Zero));

    private static Task EchoAsync(ConnectionContext connection) =>
        connection.Transport.Input.CopyToAsync(connection.Transport.Output);
}
