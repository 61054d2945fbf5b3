using GracefulConnections.Closing;
using GracefulConnections.Pipeline;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections;

/// <summary>
/// A connection handler whose connections close gracefully, also on an endpoint where nobody called <c>UseGracefulShutdown()</c> (then with the default options).
/// </summary>
public abstract class GracefulConnectionHandler : ConnectionHandler
{
    /// <inheritdoc />
    public sealed override Task OnConnectedAsync(ConnectionContext connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        return connection.Features.Get<IGracefulCloseFeature>() switch
        {
            null => RunInsideAsync(CloseScope.Default),
            GracefulConnection { IsAroundTls: true } outside => RunInsideAsync(outside.Scope), // Here, and only here, TLS can still be closed.
            var graceful => RunAsync(connection, graceful),
        };

        Task RunInsideAsync(CloseScope scope) =>
            GracefulShutdownMiddleware.RunAsync(connection, scope, connection => RunAsync(connection, connection.Features.Get<IGracefulCloseFeature>()!));
    }

    /// <summary>Serves the connection. Return to begin the close; throw to abort.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="closeRequested">Cancelled when the connection is asked to close: finish the message in hand, then return.
    /// An <see cref="OperationCanceledException"/> after that is a normal return.</param>
    /// <returns>A task that completes when the handler is done with the connection.</returns>
    protected abstract Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested);

    /// <summary>
    /// Sends a last message. Runs after <see cref="ServeAsync"/> returned and before our FIN, when the connection was asked to close and can still be written to.
    /// Does nothing unless overridden.
    /// </summary>
    /// <param name="connection">The connection.</param>
    /// <param name="reason">Why the connection was asked to close.</param>
    /// <param name="cancellationToken">Cancelled at <see cref="GracefulCloseOptions.GoodbyeTimeout"/>.</param>
    /// <returns>A task that completes when the message was written.</returns>
    protected virtual ValueTask SayGoodbyeAsync(ConnectionContext connection, CloseReason reason, CancellationToken cancellationToken) => default;

    private Task RunAsync(ConnectionContext connection, IGracefulCloseFeature graceful)
    {
        (graceful as GracefulConnection)?.AddGoodbye(SayGoodbyeAsync);
        return ServeAsync(connection, graceful.CloseRequested);
    }
}
