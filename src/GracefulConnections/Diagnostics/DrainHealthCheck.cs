using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace GracefulConnections.Diagnostics;

/// <summary>
/// Healthy while the server serves, unhealthy from the announcement on, unless a successor serves the same address.
/// </summary>
internal sealed class DrainHealthCheck(IDrainCoordinator coordinator, Func<bool>? isHandedOver = null) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(
        HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var phase = coordinator.Phase;
        var isServed = phase == DrainPhase.Serving || isHandedOver?.Invoke() == true;
        var status = isServed ? HealthStatus.Healthy : context.Registration.FailureStatus;
        var connections = Noun.Connections.Count(coordinator.ConnectionCount);
        return Task.FromResult(new HealthCheckResult(status, $"{phase}, {connections}."));
    }
}
