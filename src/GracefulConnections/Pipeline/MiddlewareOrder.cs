using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Pipeline;

/// <summary>What an endpoint runs behind <c>UseGracefulShutdown()</c>, as far as it can be seen at its start.</summary>
/// <param name="HasTls">TLS follows, before another <c>UseGracefulShutdown()</c> if there is one.</param>
/// <param name="HasGraceful">Another <c>UseGracefulShutdown()</c> follows, which closes what it runs.</param>
internal readonly record struct MiddlewareOrder(bool HasTls, bool HasGraceful)
{
    public const string Advice =
        "One owner must close a connection: remove one of the two calls (ConfigureEndpointDefaults counts), or move "
        + "the options of both into one. Only with UseHttps() between them both have their own part: "
        + "UseGracefulShutdown(), UseHttps(), UseGracefulShutdown().";

    // Kestrel's, and not public.
    public const string TlsMiddleware =
        "Microsoft.AspNetCore.Server.Kestrel.Https.Internal.HttpsConnectionMiddleware";

    private const string HttpMiddleware =
        "Microsoft.AspNetCore.Server.Kestrel.Core.Internal.HttpConnectionMiddleware";

    /// <summary>
    /// Gets whether another middleware stands before this one. It may have written to a connection by the time this one
    /// sees it.
    /// </summary>
    public bool HasSomebodyBefore { get; init; }

    /// <summary>
    /// Gets whether one of them is not the server's own. It may return before the handler does, or act upon what the
    /// handler throws.
    /// </summary>
    public bool HasForeignBefore { get; init; }

    /// <summary>
    /// Gets whether one of them stands behind TLS. It goes on when this one has returned, and close_notify must not
    /// come before what it writes then.
    /// </summary>
    public bool HasSomebodyBehindTls { get; init; }

    /// <summary>Gets whether Kestrel's HTTP follows. It tells its end by itself, so it needs no close_notify.</summary>
    public bool HasHttp { get; init; }

    public static bool IsTls(object middleware) => middleware.GetType().FullName == TlsMiddleware;

    public static MiddlewareOrder Read(ConnectionDelegate next)
    {
        var order = default(MiddlewareOrder);
        foreach (var (middleware, kept) in MiddlewareChain.From(next))
        {
            if (middleware is GracefulShutdownMiddleware)
            {
                return order with { HasGraceful = true };
            }

            var name = middleware.GetType().FullName;
            order = order with
            {
                HasTls = order.HasTls || IsTls(middleware),
                HasHttp = order.HasHttp || name?.StartsWith(HttpMiddleware, StringComparison.Ordinal) == true,
            };

            if (order.HasTls && kept.Exists(IsGracefulHandler))
            {
                return order with { HasGraceful = true }; // A GracefulConnectionHandler closes TLS by itself.
            }
        }

        return order;
    }

    // UseConnectionHandler() keeps the handler in a lambda of its own, and that one as the end of the chain.
    private static bool IsGracefulHandler(object? kept) => kept is GracefulConnectionHandler
        || (kept is Func<ConnectionContext, Task> { Target: { } end }
            && (end is GracefulConnectionHandler
                || MiddlewareChain.GetFields(end).Exists(static value => value is GracefulConnectionHandler)));
}
