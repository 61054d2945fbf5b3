using GracefulConnections;
using GracefulConnections.Pipeline;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Options;

namespace Microsoft.AspNetCore.Hosting;

/// <summary>Adds graceful closing to the connections of an endpoint.</summary>
public static class GracefulShutdownConnectionBuilderExtensions
{
    /// <summary>
    /// Makes every connection of the endpoint end correctly: sends what the handler wrote, half-closes, discards what
    /// the peer still sends and waits a bounded time for the peer's FIN.
    /// </summary>
    /// <remarks>
    /// <para>
    /// Where to call it: with TLS after <c>UseHttps()</c>, where the close sends close_notify; otherwise before any
    /// other middleware. Called on both sides of <c>UseHttps()</c>, the inner one closes TLS and the outer one TCP.
    /// </para>
    /// <para>
    /// A middleware before it that only reads changes nothing. Behind one that replaces the transport and is not TLS,
    /// and on a connection to which one has written, the server ends the connection as without the library
    /// (<see cref="CloseOutcome.LeftToServer"/>, and a Warning).
    /// </para>
    /// <para>
    /// The output goes past the transport's own buffer, but a flush waits as it would there: while
    /// <c>SocketTransportOptions.MaxWriteBufferSize</c> or more bytes are unsent. On a transport whose
    /// writer is no pipe it waits from 65,536 bytes on, which is that option's default.
    /// </para>
    /// </remarks>
    /// <typeparam name="TBuilder">The type of the builder.</typeparam>
    /// <param name="builder">The endpoint, for example Kestrel's <c>ListenOptions</c>.</param>
    /// <param name="configure">
    /// Changes the options. They start as <c>Configure&lt;GracefulCloseOptions&gt;</c> left them in the service
    /// container, or at their defaults. <see langword="null"/> changes nothing.
    /// </param>
    /// <returns>The same builder.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="builder"/> is <see langword="null"/>.</exception>
    /// <exception cref="OptionsValidationException">
    /// An option is out of range. Names the endpoint and every such option, its rule and its value.
    /// </exception>
    /// <exception cref="InvalidOperationException">
    /// It was called after <c>Run()</c> or <c>UseConnectionHandler()</c>, which end the endpoint's pipeline. When it
    /// was called twice without TLS between, the server's start throws instead.
    /// </exception>
    public static TBuilder UseGracefulShutdown<TBuilder>(
        this TBuilder builder, Action<GracefulCloseOptions>? configure = null)
        where TBuilder : IConnectionBuilder
    {
        ArgumentNullException.ThrowIfNull(builder);
        GracefulShutdownMiddleware.Use(builder, configure ?? (static _ => { }));
        return builder;
    }
}
