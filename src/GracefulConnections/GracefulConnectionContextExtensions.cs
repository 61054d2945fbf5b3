using GracefulConnections;
using GracefulConnections.Closing;
using GracefulConnections.Outgoing;
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
    /// The connection belongs to the caller: a drain of the server neither counts nor closes it, unless
    /// <see cref="OutgoingConnectionOptions.DrainWithServer"/> says so. A relay ends it when the connection that it was
    /// made for ends. To close it from elsewhere, call
    /// <see cref="IGracefulCloseFeature.RequestClose"/> on its feature. What its handler sees then says
    /// <see cref="GracefulCloseOptions.CancelReadOnCloseRequest"/>.
    /// </remarks>
    /// <param name="connection">
    /// The connection, for example from an <see cref="IConnectionFactory"/>. What was written to it before, flushed or
    /// not, is sent first. It must not be used besides this.
    /// </param>
    /// <param name="handler">
    /// Serves the connection, as a connection handler would. Its token is
    /// <see cref="IGracefulCloseFeature.CloseRequested"/>. Its return begins the close.
    /// </param>
    /// <param name="options">
    /// How to close. They are checked at their first use and must not be changed after it. Use one instance for all
    /// connections of a kind, because limits such as <see cref="GracefulCloseOptions.MaxLingeringConnections"/> count
    /// for those that share it. <see langword="null"/>: as <c>Configure&lt;GracefulCloseOptions&gt;</c> and the
    /// configuration have them in <paramref name="services"/> at this time, or the defaults.
    /// </param>
    /// <param name="services">
    /// Where the logger, the meter and the clock come from, at the first use of these options. <see langword="null"/>:
    /// nothing is logged.
    /// </param>
    /// <param name="cancellationToken">
    /// Requests the close, as <see cref="IGracefulCloseFeature.RequestClose"/> does, also before the handler runs.
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
        Func<ConnectionContext, CancellationToken, Task> handler,
        GracefulCloseOptions? options = null,
        IServiceProvider? services = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(connection);
        ArgumentNullException.ThrowIfNull(handler);
        return GracefulShutdownMiddleware.RunAsync(
            connection, CloseScope.Get(services, options), handler, requestsClose: cancellationToken);
    }

    /// <summary>
    /// Relays between two connections until both directions have ended. FIN becomes FIN, behind everything that was
    /// relayed, and the other direction goes on. A reset becomes a reset, also behind bytes that nobody reads. What a
    /// receiver does not take is not read from its sender.
    /// </summary>
    /// <remarks>
    /// <para>
    /// A close request for either connection, by a drain for example, cancels the wait for more of the peer's bytes, at
    /// a moment that is no middle of a message as far as that can be known (<see
    /// cref="GracefulCloseOptions.CancelReadOnCloseRequest"/>). If the upstream has answered what it got last, it gets
    /// FIN, and what it still sends goes through. Else it gets RST, which it cannot take for the end of a message.
    /// </para>
    /// <para>
    /// A connection that neither <c>UseGracefulShutdown()</c> nor <see cref="RunGracefullyAsync"/> closes is closed
    /// gracefully when the relay ends: the upstream with the options of <paramref name="connection"/>, without its
    /// goodbye and its limits of idle time and age. Neither of the two is disposed. Run the relay inside of
    /// <see cref="RunGracefullyAsync"/> of the upstream to choose other options for it.
    /// </para>
    /// </remarks>
    /// <param name="connection">The connection that a peer made, for example the one of a handler.</param>
    /// <param name="upstream">
    /// The connection that was made for it. What was written to it before, flushed or not, is sent first.
    /// </param>
    /// <param name="options">How to relay. <see langword="null"/>: the defaults.</param>
    /// <param name="cancellationToken">Requests the close of <paramref name="connection"/>.</param>
    /// <returns>How it ended. A reset or an abort of either connection is an outcome, and no exception.</returns>
    /// <exception cref="ArgumentNullException">A connection is <see langword="null"/>.</exception>
    /// <exception cref="ArgumentOutOfRangeException">
    /// <see cref="RelayOptions.MaxBufferedBytes"/> is less than 4096.
    /// </exception>
    public static Task<RelayResult> RelayAsync(
        this ConnectionContext connection,
        ConnectionContext upstream,
        RelayOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(connection);
        ArgumentNullException.ThrowIfNull(upstream);
        options ??= new RelayOptions();
        if (options.MaxBufferedBytes < RelayOptions.LeastBufferedBytes)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options),
                options.MaxBufferedBytes,
                $"RelayOptions: MaxBufferedBytes must be at least {RelayOptions.LeastBufferedBytes} bytes.");
        }

        return Relay.RunAsync(connection, upstream, options, cancellationToken);
    }
}
