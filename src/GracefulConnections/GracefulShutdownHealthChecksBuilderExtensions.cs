using GracefulConnections;
using GracefulConnections.Diagnostics;
using GracefulConnections.Draining;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds the drain to the host's health checks.</summary>
public static class GracefulShutdownHealthChecksBuilderExtensions
{
    private const string NotAdded =
        "AddDrainCheck needs the drain that it reports: call services.AddGracefulShutdown() as well.";

    /// <summary>
    /// Adds a check that is healthy while the server serves and unhealthy from the announcement of a drain on. Use it
    /// for readiness, never for liveness: a server that drains must not be restarted.
    /// </summary>
    /// <param name="builder">The health checks.</param>
    /// <param name="name">The name of the check. Defaults to <c>drain</c>.</param>
    /// <param name="failureStatus">
    /// What it reports while the server drains. <see langword="null"/>: unhealthy.
    /// </param>
    /// <param name="tags">Tags to choose the check by. Defaults to none.</param>
    /// <param name="timeout">The longest time for the check. <see langword="null"/>: no limit.</param>
    /// <returns>The same builder.</returns>
    /// <remarks>
    /// Without <c>AddGracefulShutdown()</c> the host does not start, with an
    /// <see cref="Options.OptionsValidationException"/>; outside of a host the check throws
    /// <see cref="InvalidOperationException"/>.
    /// </remarks>
    public static IHealthChecksBuilder AddDrainCheck(
        this IHealthChecksBuilder builder,
        string name = "drain",
        HealthStatus? failureStatus = null,
        IEnumerable<string>? tags = null,
        TimeSpan? timeout = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentException.ThrowIfNullOrEmpty(name);
        builder.Services.AddOptions<HealthCheckServiceOptions>()
            .Validate<IServiceProvider>(static (_, services) => IsAdded(services), NotAdded)
            .ValidateOnStart();
        return builder.Add(new HealthCheckRegistration(
            name,
            static services =>
            {
                var coordinator = services.GetService<IDrainCoordinator>()
                    ?? throw new InvalidOperationException(NotAdded);
                var context = (coordinator as DrainCoordinator)?.Context;
                return new DrainHealthCheck(coordinator, () => context is { IsHandedOver: true });
            },
            failureStatus ?? HealthStatus.Unhealthy,
            tags,
            timeout));
    }

    // Containers of another make may not tell; then the check itself does.
    private static bool IsAdded(IServiceProvider services) =>
        services.GetService<IServiceProviderIsService>()?.IsService(typeof(IDrainCoordinator)) ?? true;
}
