using GracefulConnections;
using GracefulConnections.Draining;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds the drain of the whole host.</summary>
public static class GracefulShutdownServiceCollectionExtensions
{
    /// <summary>
    /// Drains the host when it stops: says that it is not ready, lets every connection of an endpoint with
    /// <c>UseGracefulShutdown()</c> finish what it has in hand, and aborts what is left at
    /// <see cref="ServerDrainOptions.DrainTimeout"/>. Registers <see cref="IDrainCoordinator"/>. A second call changes
    /// nothing.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">
    /// Changes the options, in addition to <c>Configure&lt;ServerDrainOptions&gt;</c>. <see langword="null"/> changes
    /// nothing.
    /// </param>
    /// <returns>The same services.</returns>
    /// <remarks>
    /// Options that are out of range or contradict each other stop the host before it listens, with an
    /// <see cref="OptionsValidationException"/> that names all of them.
    /// </remarks>
    public static IServiceCollection AddGracefulShutdown(
        this IServiceCollection services, Action<ServerDrainOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddOptions<ServerDrainOptions>().ValidateOnStart();
        services.TryAddEnumerable(
            ServiceDescriptor.Singleton<IValidateOptions<ServerDrainOptions>, ServerDrainOptionsValidator>());
        services.TryAddSingleton<DrainCoordinator>();
        services.TryAddSingleton<IDrainCoordinator>(static provider => provider.GetRequiredService<DrainCoordinator>());
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IHostedService, DrainHostedService>());
        return configure is null ? services : services.Configure(configure);
    }
}
