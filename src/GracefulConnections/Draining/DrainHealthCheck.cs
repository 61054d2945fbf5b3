using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace GracefulConnections.Draining;

/// <summary>Healthy while the server serves, unhealthy from the announcement on.</summary>
internal sealed class DrainHealthCheck(IDrainCoordinator coordinator) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(
        HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(coordinator.Phase is var phase && phase == DrainPhase.Serving
            ? HealthCheckResult.Healthy($"{phase}, {coordinator.ConnectionCount} connections.")
            : new HealthCheckResult(
                context.Registration.FailureStatus, $"{phase}, {coordinator.ConnectionCount} connections."));
}
