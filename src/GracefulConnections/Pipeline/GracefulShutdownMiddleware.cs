using System.Collections.Concurrent;
using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Draining;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Pipeline;

/// <summary>Runs the handler on a connection that closes gracefully, then closes it.</summary>
internal sealed class GracefulShutdownMiddleware(
    ConnectionDelegate next, CloseScope scope, DrainCoordinator? drain = null, MiddlewareOrder order = default)
{
    private readonly ConcurrentDictionary<Action<ILogger>, bool> _logged = [];

    /// <summary>Adds the middleware to an endpoint.</summary>
    /// <exception cref="OptionsValidationException">An option is out of range.</exception>
    /// <exception cref="InvalidOperationException">It would never run, or runs twice.</exception>
    public static void Use(IConnectionBuilder builder, Action<GracefulCloseOptions> configure)
    {
        var services = builder.ApplicationServices;
        var scope = CloseScope.Create(services, configure, builder.ToString());
        var drain = services?.GetService<DrainCoordinator>();
        if (drain is not null)
        {
            drain.HasConnections = true;
        }

        var (hasAny, hasForeign, hasBehindTls) = MiddlewaresBefore.Look(builder);
        builder.Use(next =>
        {
            var order = MiddlewareOrder.Read(next) with
            {
                HasSomebodyBefore = hasAny,
                HasForeignBefore = hasForeign,
                HasSomebodyBehindTls = hasBehindTls,
            };
            if (order is { HasGraceful: true, HasTls: false })
            {
                throw new InvalidOperationException(
                    $"UseGracefulShutdown() was called twice on one endpoint. {MiddlewareOrder.Advice}");
            }

            PlatformProbe.Begin();
            var middleware = new GracefulShutdownMiddleware(next, scope, drain, order);
            if (order is { HasTls: true, HasGraceful: false, HasHttp: false })
            {
                middleware.LogPosition(Log.TlsIsInside);
            }

            return middleware.OnConnectionAsync;
        });
    }

    /// <summary>Runs a handler on a connection that no endpoint's middleware closes.</summary>
    /// <exception cref="InvalidOperationException">One does, and there is no TLS between.</exception>
    public static async Task<CloseResult> RunAsync(
        ConnectionContext connection,
        CloseScope scope,
        Func<ConnectionContext, CancellationToken, Task> handler,
        MiddlewareOrder order = default,
        CancellationToken requestsClose = default)
    {
        Task<CloseResult>? closed = null;

        // An accepted connection gets the drain that it is part of from its endpoint; one that was made brings it.
        var drain = connection.Find<DrainCoordinator>();
        await new GracefulShutdownMiddleware(Run, scope, drain, order)
            .OnConnectionAsync(connection).ConfigureAwait(false);
        closed ??= connection.Find<IGracefulCloseFeature>()!.Closed; // Abandoned before the handler began.
        return await closed.ConfigureAwait(false);

        async Task Run(ConnectionContext connection)
        {
            var graceful = (GracefulConnection)connection.Find<IGracefulCloseFeature>()!;
            closed = graceful.Closed;
            await using var registration = requestsClose.UnsafeRegister(
                static graceful => ((IGracefulCloseFeature)graceful!).RequestClose(), graceful).ConfigureAwait(false);
            await graceful.SendEarlierAsync().ConfigureAwait(false);
            await handler(connection, graceful.CloseRequested).ConfigureAwait(false);
        }
    }

    // Every connection holds this one's state: so it awaits one kind of task only, and remembers little.
    public async Task OnConnectionAsync(ConnectionContext connection)
    {
        using var graceful = Begin(connection);
        LogIfLeftToServer(graceful);

        Exception? end = null;
        try
        {
            if (graceful.Member is null)
            {
                await new ValueTask(next(graceful)).ConfigureAwait(false);
            }
            else
            {
                await graceful.Member.RunAsync(next).ConfigureAwait(false);
                if (graceful.Member.IsAbandoned)
                {
                    await graceful.CloseAbandonedAsync().ConfigureAwait(false);
                    return;
                }

                if (!graceful.IsEndAsAsked(graceful.Member.Handler))
                {
                    await new ValueTask(graceful.Member.Handler).ConfigureAwait(false);
                }
            }
        }
        catch (Exception exception) when (graceful.IsEndOfConnection(exception))
        {
            // A normal return. After an abort of our own, the exception only says where the handler was.
            var level = graceful.IsAbortedHere ? LogLevel.Trace : LogLevel.Debug;
            Log.HandlerEndedWithConnection(scope.Logger, graceful.ConnectionId, level, exception);
            graceful.NoteEnd(exception);
            end = exception;
        }
        catch (Exception exception)
        {
            await CloseAsync(graceful, connection, exception, isFault: true).ConfigureAwait(false);
            throw; // To the server's log.
        }

        if (graceful.LacksCloseNotify && !order.HasHttp)
        {
            LogPosition(Log.TlsIsInside);
        }

        await CloseAsync(graceful, connection, end, isFault: false).ConfigureAwait(false);
        LogIfLeftToServer(graceful); // The first send may have found somebody who had written before.
        graceful.ThrowEnd();
    }

    private GracefulConnection Begin(ConnectionContext connection)
    {
        if (!order.HasForeignBefore)
        {
            return new GracefulConnection(connection, scope, drain, order);
        }

        var graceful = GracefulConnection.TryResume(connection)
            ?? new GracefulConnection(connection, scope, drain, order);
        graceful.BeToldOfReturn();
        return graceful;
    }

    private ValueTask CloseAsync(
        GracefulConnection graceful, ConnectionContext connection, Exception? end, bool isFault)
    {
        graceful.OnHandlerBack();
        ConnectionPlace.Free(connection);
        return order.HasSomebodyBefore
            && graceful.MayCloseLater
            && connection.Find<IConnectionCompleteFeature>() is { } completion
                ? CloseLaterAsync(graceful, completion, end, isFault)
                : graceful.CloseAsync(end, isFault);
    }

    private async ValueTask CloseLaterAsync(
        GracefulConnection graceful, IConnectionCompleteFeature completion, Exception? end, bool isFault)
    {
        if (!await graceful.TryCloseLaterAsync(completion, CloseLeftAsync).ConfigureAwait(false))
        {
            await graceful.CloseAsync(end, isFault).ConfigureAwait(false);
        }

        async Task CloseLeftAsync()
        {
            await graceful.CloseLeftAsync(end, isFault).ConfigureAwait(false);
            LogIfLeftToServer(graceful);
        }
    }

    private void LogIfLeftToServer(GracefulConnection graceful)
    {
        switch (graceful.LeftToServer)
        {
            case LeftToServerReason.Wrapped:
                LogPosition(Log.TransportIsWrapped);
                break;

            case LeftToServerReason.WrittenBefore:
                LogPosition(Log.WrittenBefore);
                break;
        }
    }

    // Each once for each endpoint.
    private void LogPosition(Action<ILogger> log)
    {
        if (_logged.TryAdd(log, true))
        {
            log(scope.Logger);
        }
    }
}
