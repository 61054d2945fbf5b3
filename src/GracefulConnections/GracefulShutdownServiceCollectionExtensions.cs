using GracefulConnections;
using GracefulConnections.Draining;
using GracefulConnections.Listening;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Hosting.Internal;
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
    /// <see cref="OptionsValidationException"/> that names all of them. The host's <c>IHostApplicationLifetime</c> is
    /// replaced by one that announces in <c>StopApplication()</c>; one of the application's own is left alone, with a
    /// Warning, and then the announcement comes after <c>ApplicationStopping</c>.
    /// </remarks>
    public static IServiceCollection AddGracefulShutdown(
        this IServiceCollection services, Action<ServerDrainOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);

        // Without ValidateOnStart, which goes on to watch the configuration, and throws into whoever reloads it. A host
        // makes all hosted services before it starts one, and the coordinator checks its options when it is made.
        services.AddOptions<ServerDrainOptions>();
        services.TryAddEnumerable(
            ServiceDescriptor.Singleton<IValidateOptions<ServerDrainOptions>, ServerDrainOptionsValidator>());
        services.TryAddSingleton<DrainSteps>();
        services.TryAddSingleton<DrainCoordinator>();
        services.TryAddSingleton<IDrainCoordinator>(static provider => provider.GetRequiredService<DrainCoordinator>());
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IHostedService, DrainHostedService>());
        ReplaceLifetime(services);
        return configure is null ? services : services.Configure(configure);
    }

    /// <summary>
    /// Adds work for the time between the announcement of the whole server's drain and the first close request, such as
    /// stopping a protocol's server or closing WebSockets. Steps run one after another, in the order in which they were
    /// added, and all of them together get half of <see cref="ServerDrainOptions.DrainTimeout"/>.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="name">What the log calls the step.</param>
    /// <param name="step">
    /// The work. It gets the host's service provider, and a token that is cancelled when the time is up; then the drain
    /// goes on without it. What it throws is logged, and the next step follows.
    /// </param>
    /// <returns>The same services.</returns>
    /// <remarks>At a host's stop the steps run before the server unbinds.</remarks>
    /// <exception cref="ArgumentNullException">An argument is <see langword="null"/>.</exception>
    /// <exception cref="ArgumentException"><paramref name="name"/> is empty.</exception>
    public static IServiceCollection AddDrainStep(
        this IServiceCollection services, string name, Func<IServiceProvider, CancellationToken, Task> step)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(step);
        return services.AddSingleton<IDrainStep>(new DrainStep(name, step));
    }

    /// <summary>
    /// Passes the listening sockets to the process that replaces this one, so that a restart refuses no connect and
    /// resets no connection: the successor starts while this process serves, says that it is ready, and only then this
    /// process stops accepting, drains and exits. Adds <see cref="AddGracefulShutdown"/> too. A second call changes
    /// nothing.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">
    /// Changes the options, in addition to <c>Configure&lt;ListenerHandoverOptions&gt;</c>. <see langword="null"/>
    /// changes nothing.
    /// </param>
    /// <returns>The same services.</returns>
    /// <remarks>
    /// <para>
    /// Endpoints over TCP and Unix domain sockets are handed over, TLS or not, and found by their addresses. HTTP/3 is
    /// not, because it runs over UDP. On systems other than Linux nothing is handed over, which the log says.
    /// </para>
    /// <para>
    /// Options that are out of range stop the host before it listens, with an <see cref="OptionsValidationException"/>.
    /// Called before Kestrel's transports are added, the host does not start, with an
    /// <see cref="InvalidOperationException"/>.
    /// </para>
    /// </remarks>
    public static IServiceCollection AddListenerHandover(
        this IServiceCollection services, Action<ListenerHandoverOptions>? configure = null)
    {
        services.AddGracefulShutdown();
        services.AddOptions<ListenerHandoverOptions>(); // Without ValidateOnStart, as above: the service checks them.
        services.TryAddEnumerable(ServiceDescriptor.Singleton<
            IValidateOptions<ListenerHandoverOptions>, ListenerHandoverOptionsValidator>());
        services.TryAddSingleton<ListeningSockets>();
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IHostedService, HandoverHostedService>());
        if (!services.Any(static service => service.ServiceType == typeof(HandoverListenerFactory)))
        {
            services.AddSingleton<HandoverListenerFactory>();
            services.AddSingleton<IConnectionListenerFactory>(
                static provider => provider.GetRequiredService<HandoverListenerFactory>());
        }

        return configure is null ? services : services.Configure(configure);
    }

    // Only the host's own: whoever registered another one knows more of it than this library.
    private static void ReplaceLifetime(IServiceCollection services)
    {
        for (var i = 0; i < services.Count; i++)
        {
            if (services[i] is { IsKeyedService: false, ServiceType: var service, ImplementationType: var type }
                && service == typeof(IHostApplicationLifetime)
                && type == typeof(ApplicationLifetime))
            {
                services[i] = ServiceDescriptor.Singleton<IHostApplicationLifetime, AnnouncingLifetime>();
            }
        }
    }
}
