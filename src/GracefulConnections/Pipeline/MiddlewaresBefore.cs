using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Pipeline;

/// <summary>
/// Looks at what was added to an endpoint before <c>UseGracefulShutdown()</c>, by building that part of its pipeline
/// once. What is built so is thrown away.
/// </summary>
internal static class MiddlewaresBefore
{
    [ThreadStatic]
    private static ConnectionDelegate? _looksFor;

    /// <summary>Gets whether a pipeline is being built on this thread only to be looked at.</summary>
    public static bool IsLooking => _looksFor is not null;

    /// <returns>
    /// Whether there is any middleware, whether one may not be the server's own, and whether one may stand behind TLS.
    /// </returns>
    /// <exception cref="InvalidOperationException">
    /// One of them ends the pipeline, so that nothing added later ever runs.
    /// </exception>
    public static (bool HasAny, bool HasForeign, bool HasBehindTls) Look(IConnectionBuilder builder)
    {
        var here = new Here();
        ConnectionDelegate end = here.GoOnAsync;
        builder.Use(next => ReferenceEquals(_looksFor, end) ? end : here.Next = next);
        var outer = _looksFor;
        _looksFor = end;
        ConnectionDelegate? first;
        try
        {
            first = builder.Build();
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            return (true, true, false); // One cannot be built. The server's own build of the pipeline tells why.
        }
        finally
        {
            _looksFor = outer;
        }

        ThrowIfTerminal(first);
        var chain = MiddlewareChain.From(first).Select(static link => link.Middleware).ToList();
        var tls = chain.FindLastIndex(MiddlewareOrder.IsTls);

        // A walk that ended early may have missed TLS and whoever stands behind it.
        var isWhole = chain[^1] == here;
        var isNobodyBehind = isWhole && (tls < 0 || tls == chain.Count - 2);
        var isServersOnly = isWhole && chain.SkipLast(1).All(MiddlewareOrder.IsServers);
        return (!ReferenceEquals(first, end), !isServersOnly, !isNobodyBehind);
    }

    // Run() and UseConnectionHandler() never call what comes after them. Both keep what they run in a closure of
    // ConnectionBuilderExtensions, which also keeps the delegate that is made of it.
    private static void ThrowIfTerminal(ConnectionDelegate first)
    {
        foreach (var (middleware, kept) in MiddlewareChain.From(first))
        {
            if (middleware.GetType().DeclaringType == typeof(ConnectionBuilderExtensions)
                && !kept.OfType<ConnectionDelegate>().Any(other => other.Target != middleware)
                && kept.OfType<Func<ConnectionContext, Task>>().Any())
            {
                throw new InvalidOperationException(
                    "UseGracefulShutdown() was called after Run() or UseConnectionHandler(), which end an endpoint's "
                    + "pipeline, so it would never run. Call UseGracefulShutdown() first, then UseHttps() or other "
                    + "middlewares, and Run() or UseConnectionHandler() last.");
            }
        }
    }

    // The end of the part that is built. Each look has an object of its own, because another look's end must not be
    // mistaken for it. A middleware may keep the first delegate that it is given, so calls go on to the real pipeline.
    private sealed class Here
    {
        public ConnectionDelegate? Next { get; set; }

        public Task GoOnAsync(ConnectionContext connection) => Next?.Invoke(connection)
            ?? throw new InvalidOperationException(
                $"The connection {connection.ConnectionId} came before the endpoint's pipeline was built.");
    }
}
