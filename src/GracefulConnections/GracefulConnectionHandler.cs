using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Pipeline;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections;

/// <summary>
/// A connection handler whose connections close gracefully, also on an endpoint where nobody called
/// <c>UseGracefulShutdown()</c> (then with the default options, and no drain knows of them).
/// </summary>
public abstract class GracefulConnectionHandler : ConnectionHandler
{
    /// <inheritdoc />
    public sealed override Task OnConnectedAsync(ConnectionContext connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        var feature = connection.Features.Get<IGracefulCloseFeature>();
        if (feature is null)
        {
            StartedHosts.OnUntracked(GetType());
        }

        return feature switch
        {
            null => RunInsideAsync(CloseScope.Default, default),

            // Here, and only here, TLS can still be closed.
            GracefulConnection { IsAroundTls: true } outside => RunInsideAsync(outside.Scope, outside.InnerOrder),
            var graceful => RunAsync(connection, graceful),
        };

        Task RunInsideAsync(CloseScope scope, MiddlewareOrder order) =>
            GracefulShutdownMiddleware.RunAsync(
                connection,
                scope,
                (connection, _) => RunAsync(connection, connection.Features.Get<IGracefulCloseFeature>()!),
                order);
    }

    /// <summary>Serves the connection. Its return begins the close.</summary>
    /// <remarks>
    /// If it throws, everything that it wrote is delivered, FIN follows as on stock Kestrel, and the server logs the
    /// exception. <see cref="GracefulCloseOptions.AbortOnHandlerFault"/> makes that an RST. To abort at once, call
    /// <see cref="ConnectionContext.Abort()"/>. When the connection is asked to close, a read in which this waits for
    /// the next message is cancelled as well (<see cref="GracefulCloseOptions.CancelReadOnCloseRequest"/>), so a loop
    /// that only reads and answers need not look at <paramref name="closeRequested"/>.
    /// </remarks>
    /// <param name="connection">The connection.</param>
    /// <param name="closeRequested">
    /// Cancelled when the connection is asked to close: finish the message in hand, then return. After that, an
    /// exception that is or holds an <see cref="OperationCanceledException"/> is a normal return. A read that gets this
    /// token ends at once, also in the middle of a message.
    /// </param>
    /// <returns>A task that completes when the handler is done with the connection.</returns>
    protected abstract Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested);

    /// <summary>
    /// Sends a last message. Runs after <see cref="ServeAsync"/> returned and before FIN, when the connection was asked
    /// to close and can still be written to. Does nothing unless overridden.
    /// </summary>
    /// <param name="connection">The connection.</param>
    /// <param name="reason">Why the connection was asked to close.</param>
    /// <param name="cancellationToken">Cancelled at <see cref="GracefulCloseOptions.GoodbyeTimeout"/>.</param>
    /// <returns>A task that completes when the message was written.</returns>
    protected virtual ValueTask SayGoodbyeAsync(
        ConnectionContext connection, CloseReason reason, CancellationToken cancellationToken) => default;

    private Task RunAsync(ConnectionContext connection, IGracefulCloseFeature graceful)
    {
        (graceful as GracefulConnection)?.AddGoodbye(SayGoodbyeAsync);
        return ServeAsync(connection, graceful.CloseRequested);
    }
}
