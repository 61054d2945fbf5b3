using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Draining;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Pipeline;

/// <summary>Runs the handler on a connection that closes gracefully, then closes it.</summary>
internal sealed class GracefulShutdownMiddleware(ConnectionDelegate next, CloseScope scope, DrainCoordinator? drain = null, MiddlewareOrder order = default)
{
    private int _positionLogged;

    /// <summary>Makes the middleware of one endpoint.</summary>
    /// <exception cref="OptionsValidationException">An option is out of range.</exception>
    public static Func<ConnectionDelegate, ConnectionDelegate> Create(IServiceProvider? services, Action<GracefulCloseOptions> configure)
    {
        var scope = CloseScope.Create(services, configure);
        var drain = services?.GetService<DrainCoordinator>();
        return next =>
        {
            var order = MiddlewareOrder.Read(next);
            if (order is { HasGraceful: true, HasTls: false })
            {
                throw new InvalidOperationException($"UseGracefulShutdown() was called twice on one endpoint. {MiddlewareOrder.Advice}");
            }

            var middleware = new GracefulShutdownMiddleware(next, scope, drain, order);
            if (order is { HasTls: true, HasGraceful: false })
            {
                middleware.LogPosition(Log.TlsIsInside);
            }

            return middleware.OnConnectionAsync;
        };
    }

    /// <summary>Runs a handler on a connection that no endpoint's middleware closes.</summary>
    /// <exception cref="InvalidOperationException">One does, and there is no TLS between.</exception>
    public static async Task<CloseResult> RunAsync(ConnectionContext connection, CloseScope scope, Func<ConnectionContext, Task> handler)
    {
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
        using var graceful = new GracefulConnection(connection, scope, drain, order);
        if (graceful.IsWrapped)
        {
            LogPosition(Log.TransportIsWrapped);
        }

        try
        {
            if (!graceful.IsTracked)
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

        if (graceful.LacksCloseNotify)
        {
            LogPosition(Log.TlsIsInside);
        }

        await graceful.CloseAsync().ConfigureAwait(false);
    }

    // Once for each endpoint.
    private void LogPosition(Action<ILogger> log)
    {
        if (Interlocked.Exchange(ref _positionLogged, 1) == 0)
        {
            log(scope.Logger);
        }
    }
}
