using System.Runtime.CompilerServices;
using GracefulConnections;
using GracefulConnections.Pipeline;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Options;

namespace Microsoft.AspNetCore.Hosting;

/// <summary>Adds graceful closing to the connections of an endpoint.</summary>
public static class GracefulShutdownConnectionBuilderExtensions
{
    // A builder has no place for a mark of ours, and listen options are cloned for localhost: the mark belongs to the builder that was called.
    private static readonly ConditionalWeakTable<IConnectionBuilder, object> MarkedBuilders = [];

    /// <summary>
    /// Makes every connection of the endpoint end correctly: sends what the handler wrote, half-closes, discards what the peer still sends and waits a bounded time for the peer's FIN, else aborts.
    /// </summary>
    /// <typeparam name="TBuilder">The type of the builder.</typeparam>
    /// <param name="builder">The endpoint, for example Kestrel's <c>ListenOptions</c>.</param>
    /// <returns>The same builder.</returns>
    /// <exception cref="InvalidOperationException">It was called for this endpoint before.</exception>
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
        if (!MarkedBuilders.TryAdd(builder, MarkedBuilders))
        {
            throw new InvalidOperationException(
                $"UseGracefulShutdown was called twice for the endpoint {builder}. One owner must close a connection: remove one of the two calls, or move the options of both into one.");
        }

        builder.Use(GracefulShutdownMiddleware.Create(builder.ApplicationServices, configure));
        return builder;
    }
}
