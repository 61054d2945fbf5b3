using GracefulConnections;
using GracefulConnections.Pipeline;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Options;

namespace Microsoft.AspNetCore.Hosting;

/// <summary>Adds graceful closing to the connections of an endpoint.</summary>
public static class GracefulShutdownConnectionBuilderExtensions
{
    /// <summary>
    /// Makes every connection of the endpoint end correctly: sends what the handler wrote, half-closes, discards what the peer still sends and waits a bounded time for the peer's FIN, else aborts.
    /// </summary>
    /// <remarks>
    /// Where to call it: with TLS after <c>UseHttps()</c>, where the close sends close_notify; otherwise before any other middleware. Called on both sides of <c>UseHttps()</c>, the inner
    /// one closes TLS and the outer one TCP. The server does not start when it was called twice without <c>UseHttps()</c> between.
    /// </remarks>
    /// <typeparam name="TBuilder">The type of the builder.</typeparam>
    /// <param name="builder">The endpoint, for example Kestrel's <c>ListenOptions</c>.</param>
    /// <returns>The same builder.</returns>
    /// <exception cref="OptionsValidationException">The options from the service container are out of range.</exception>
    public static TBuilder UseGracefulShutdown<TBuilder>(this TBuilder builder)
        where TBuilder : IConnectionBuilder =>
        builder.UseGracefulShutdown(static _ => { });

    /// <inheritdoc cref="UseGracefulShutdown{TBuilder}(TBuilder)"/>
    /// <param name="builder">The endpoint, for example Kestrel's <c>ListenOptions</c>.</param>
    /// <param name="configure">Changes the options. They start as <c>Configure&lt;GracefulCloseOptions&gt;</c> left them in the service container, or at their defaults.</param>
    /// <exception cref="OptionsValidationException">An option is out of range. Names every such option, its rule and its value.</exception>
    public static TBuilder UseGracefulShutdown<TBuilder>(this TBuilder builder, Action<GracefulCloseOptions> configure)
        where TBuilder : IConnectionBuilder
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(configure);
        GracefulShutdownMiddleware.Use(builder, configure);
        return builder;
    }
}
