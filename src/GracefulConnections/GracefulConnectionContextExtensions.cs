using GracefulConnections;
using GracefulConnections.Closing;
using GracefulConnections.Pipeline;
using Microsoft.Extensions.Options;

namespace Microsoft.AspNetCore.Connections;

/// <summary>Closes connections gracefully that no endpoint accepted: those that a program made itself.</summary>
public static class GracefulConnectionContextExtensions
{
    /// <summary>
    /// Runs <paramref name="handler"/> on a connection, for example an outgoing one, and closes it as
    /// <c>UseGracefulShutdown()</c> closes an endpoint's: sends what the handler wrote, half-closes, discards what the
    /// peer still sends and waits a bounded time for the peer's FIN. The connection still has to be disposed, which
    /// frees its socket.
    /// </summary>
    /// <remarks>
    /// The connection belongs to the caller: a drain of the server neither counts nor closes it. A relay ends it when
    /// the connection that it was made for ends. To close it from elsewhere, call
    /// <see cref="IGracefulCloseFeature.RequestClose"/> on its feature. What its handler sees then says
    /// <see cref="GracefulCloseOptions.CancelReadOnCloseRequest"/>.
    /// </remarks>
    /// <param name="connection">
    /// The connection, for example from an <see cref="IConnectionFactory"/>. It must not be used before or besides
    /// this.
    /// </param>
    /// <param name="handler">Serves the connection, as a connection handler would. Its return begins the close.</param>
    /// <param name="options">
    /// How to close. They are checked at their first use and must not be changed after it. Use one instance for all
    /// connections of a kind, because limits such as <see cref="GracefulCloseOptions.MaxLingeringConnections"/> count
    /// for those that share it. <see langword="null"/>: as <c>Configure&lt;GracefulCloseOptions&gt;</c> left them in
    /// <paramref name="services"/>, or the defaults.
    /// </param>
    /// <param name="services">
    /// Where the logger, the meter and the clock come from, at the first use of these options. <see langword="null"/>:
    /// nothing is logged.
    /// </param>
    /// <returns>
    /// How the connection ended, once it has. Also when the handler ended by an exception that only says so: an
    /// <see cref="OperationCanceledException"/> after a close request, an <see cref="EndOfStreamException"/> after the
    /// peer's FIN, or the network's end of the connection.
    /// </returns>
    /// <exception cref="ArgumentNullException">
    /// <paramref name="connection"/> or <paramref name="handler"/> is <see langword="null"/>.
    /// </exception>
    /// <exception cref="OptionsValidationException">
    /// An option is out of range. Names every such option, its rule and its value. The connection is as it was.
    /// </exception>
    /// <exception cref="InvalidOperationException">The connection is closed by this library already.</exception>
    /// <exception cref="Exception">
    /// What <paramref name="handler"/> threw, after the connection has ended: everything that the handler wrote was
    /// sent first, then FIN, or RST with <see cref="GracefulCloseOptions.AbortOnHandlerFault"/>.
    /// </exception>
    public static Task<CloseResult> RunGracefullyAsync(
        this ConnectionContext connection,
        Func<ConnectionContext, Task> handler,
        GracefulCloseOptions? options = null,
        IServiceProvider? services = null)
    {
        ArgumentNullException.ThrowIfNull(connection);
        ArgumentNullException.ThrowIfNull(handler);
        return GracefulShutdownMiddleware.RunAsync(connection, CloseScope.Get(services, options), handler);
    }
}
