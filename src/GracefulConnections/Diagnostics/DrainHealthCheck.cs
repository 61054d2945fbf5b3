using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace GracefulConnections.Diagnostics;

/// <summary>Healthy while the server serves, unhealthy from the announcement on.</summary>
internal sealed class DrainHealthCheck(IDrainCoordinator coordinator) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(
        HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var phase = coordinator.Phase;
        var status = phase == DrainPhase.Serving ? HealthStatus.Healthy : context.Registration.FailureStatus;
        var connections = Noun.Connections.Count(coordinator.ConnectionCount);
        return Task.FromResult(new HealthCheckResult(status, $"{phase}, {connections}."));
    }
}
