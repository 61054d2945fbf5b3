using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Draining;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Pipeline;

/// <summary>Runs the handler on a connection that closes gracefully, then closes it.</summary>
internal sealed class GracefulShutdownMiddleware(ConnectionDelegate next, CloseScope scope, DrainCoordinator? drain = null)
{
    private int _wrappedLogged;

    /// <summary>Makes the middleware of one endpoint.</summary>
    /// <exception cref="OptionsValidationException">An option is out of range.</exception>
    public static Func<ConnectionDelegate, ConnectionDelegate> Create(IServiceProvider? services, Action<GracefulCloseOptions> configure)
    {
        var scope = CloseScope.Create(services, configure);
        var drain = services?.GetService<DrainCoordinator>();
        return next => new GracefulShutdownMiddleware(next, scope, drain).OnConnectionAsync;
    }

    /// <summary>Runs a handler on a connection that no endpoint's middleware closes.</summary>
    /// <exception cref="InvalidOperationException">One does.</exception>
    public static async Task<CloseResult> RunAsync(ConnectionContext connection, CloseScope scope, Func<ConnectionContext, Task> handler)
    {
        if (connection.Features.Get<IGracefulCloseFeature>() is not null)
        {
            throw new InvalidOperationException(
                $"The connection {connection.ConnectionId} is closed by UseGracefulShutdown() or RunGracefullyAsync() already. One owner must close a connection: run the handler without a second one.");
        }

        Task<CloseResult>? closed = null;
        await new GracefulShutdownMiddleware(Run, scope).OnConnectionAsync(connection).ConfigureAwait(false);
        return await closed!.ConfigureAwait(false);

        Task Run(ConnectionContext connection)
        {
            closed = connection.Features.Get<IGracefulCloseFeature>()!.Closed;
            return handler(connection);
        }
    }

    public async Task OnConnectionAsync(ConnectionContext connection)
    {
        using var graceful = new GracefulConnection(connection, scope, drain);
        if (graceful.IsWrapped && Interlocked.Exchange(ref _wrappedLogged, 1) == 0)
        {
            Log.TransportIsWrapped(scope.Logger);
        }

        try
        {
            if (drain is null)
            {
                await next(connection).ConfigureAwait(false);
            }
            else
            {
                await graceful.RunAsync(next).ConfigureAwait(false);
                if (graceful.IsAbandoned)
                {
                    await graceful.CloseAbandonedAsync().ConfigureAwait(false);
                    return;
                }

                await graceful.Handler.ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException exception) when (graceful.IsCloseRequested)
        {
            Log.HandlerEndedWithConnection(scope.Logger, connection.ConnectionId, exception); // A normal return.
        }
        catch (Exception exception) when (exception is ConnectionResetException or ConnectionAbortedException && graceful.EndedUnderHandler)
        {
            Log.HandlerEndedWithConnection(scope.Logger, connection.ConnectionId, exception);
        }
        catch (Exception exception)
        {
            await graceful.CloseFaultedAsync(exception).ConfigureAwait(false);
            throw; // To the server's log.
        }

        await graceful.CloseAsync().ConfigureAwait(false);
    }
}
