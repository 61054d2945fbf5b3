using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace GracefulConnections.Draining;

/// <summary>
/// Healthy while the server serves, unhealthy from the announcement on, unless a successor serves the same address.
/// </summary>
internal sealed class DrainHealthCheck(IDrainCoordinator coordinator) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(
        HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var phase = coordinator.Phase;
        var isServed = phase == DrainPhase.Serving || coordinator is DrainCoordinator { Context.IsHandedOver: true };
        var status = isServed ? HealthStatus.Healthy : context.Registration.FailureStatus;
        var connections = BatchReport.Connections(coordinator.ConnectionCount);
        return Task.FromResult(new HealthCheckResult(status, $"{phase}, {connections}."));
    }
}
