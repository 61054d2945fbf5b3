using GracefulConnections.Diagnostics;
using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace GracefulConnections.Tests.Diagnostics;

public class DrainHealthCheckTests
{
    [Theory]
    [InlineData(HealthStatus.Unhealthy)]
    [InlineData(HealthStatus.Degraded)]
    public async Task Check_EveryPhase_IsHealthyOnlyWhileServing(HealthStatus failureStatus)
    {
        var drain = new TestDrain(options => options.AnnounceDelay = TimeSpan.FromSeconds(1));
        var check = new DrainHealthCheck(drain.Coordinator);
        var context = new HealthCheckContext { Registration = new HealthCheckRegistration("drain", check, failureStatus, null) };
        drain.AcceptIgnorant("a");
        drain.AcceptIgnorant("b");
        List<(HealthStatus, string?)> results = [];

        await CheckAsync();
        _ = drain.AnnounceStopAsync();
        await CheckAsync();
        drain.AdvanceSeconds(1);
        drain.Coordinator.BeginDraining(CloseReason.HostStopping);
        await CheckAsync();
        drain.AdvanceSeconds(20);
        await CheckAsync();
        drain.AdvanceSeconds(0.5);
        await CheckAsync();

        Assert.Equal(
            [
                (HealthStatus.Healthy, "Serving, 2 connections."),
                (failureStatus, "Announced, 2 connections."),
                (failureStatus, "Draining, 2 connections."),
                (failureStatus, "Aborting, 2 connections."),
                (failureStatus, "Drained, 0 connections."),
            ],
            results);

        async Task CheckAsync()
        {
            var result = await check.CheckHealthAsync(context);
            results.Add((result.Status, result.Description));
        }
    }

    [Fact]
    public async Task Check_PartDrains_StaysHealthy()
    {
        var drain = new TestDrain();
        var check = new DrainHealthCheck(drain.Coordinator);
        drain.Accept();
        _ = drain.Coordinator.DrainAsync(_ => true);

        var result = await check.CheckHealthAsync(new HealthCheckContext { Registration = new HealthCheckRegistration("drain", check, null, null) });

        Assert.Equal(HealthStatus.Healthy, result.Status);
    }
}
