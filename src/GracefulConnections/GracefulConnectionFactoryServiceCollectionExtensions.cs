using GracefulConnections;
using GracefulConnections.Draining;
using GracefulConnections.Outgoing;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds what makes connections, for programs that connect as well as listen.</summary>
public static class GracefulConnectionFactoryServiceCollectionExtensions
{
    /// <summary>
    /// Registers an <see cref="IConnectionFactory"/> for TCP and Unix domain sockets: to an <c>IPEndPoint</c>, a
    /// <c>UnixDomainSocketEndPoint</c>, or a <c>DnsEndPoint</c>, whose addresses are tried side by side (RFC 8305). A
    /// second call changes nothing but the options.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">
    /// Changes the options, in addition to <c>Configure&lt;OutgoingConnectionOptions&gt;</c>. <see langword="null"/>
    /// changes nothing.
    /// </param>
    /// <returns>The same services.</returns>
    /// <remarks>
    /// A connection reads straight from its socket when the caller reads. <c>RunGracefullyAsync</c> serves it like a
    /// handler and tells how it ended. Without that, <c>DisposeAsync()</c> sends what was written, half-closes,
    /// discards what the peer still sends and waits for the peer's FIN, within the times of
    /// <see cref="GracefulCloseOptions"/>; <c>Abort()</c> resets at once. A drain of the server includes them only with
    /// <see cref="OutgoingConnectionOptions.DrainWithServer"/>. A connect that fails throws a
    /// <c>SocketException</c> whose message tells each address that was tried.
    /// </remarks>
    /// <exception cref="ArgumentNullException"><paramref name="services"/> is <see langword="null"/>.</exception>
    public static IServiceCollection AddGracefulConnectionFactory(
        this IServiceCollection services, Action<OutgoingConnectionOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddOptions<OutgoingConnectionOptions>()
            .PostConfigure<IServiceProvider>(static (options, services) =>
            {
                if (options.DrainWithServer && services.GetService<DrainCoordinator>() is { } drain)
                {
                    drain.HasConnections = true;
                }
            })
            .ValidateOnStart();
        services.TryAddEnumerable(ServiceDescriptor
            .Singleton<IValidateOptions<OutgoingConnectionOptions>, OutgoingConnectionOptionsValidator>());
        services.TryAddSingleton<IConnectionFactory, OutgoingConnectionFactory>();
        return configure is null ? services : services.Configure(configure);
    }
}
