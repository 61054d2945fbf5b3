using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Pipeline;

/// <summary>
/// What an endpoint runs after us, as far as it can be seen when the endpoint starts: a middleware keeps the next one in a field. What cannot be seen here, and what was trimmed away,
/// shows itself at the first connection.
/// </summary>
/// <param name="HasGraceful">Another one of us follows, which closes what it runs.</param>
/// <param name="HasTls">TLS follows, before that one if there is one.</param>
internal readonly record struct MiddlewareOrder(bool HasTls, bool HasGraceful)
{
    /// <summary>Gets whether another middleware stands before us, which may have written to a connection when we see it.</summary>
    public bool HasSomebodyBefore { get; init; }

    public const string Advice =
        "One owner must close a connection: remove one of the two calls (ConfigureEndpointDefaults counts), or move the options of both into one. Only with UseHttps() between them both have their own part: "
        + "UseGracefulShutdown(), UseHttps(), UseGracefulShutdown().";

    private const string TlsMiddleware = "Microsoft.AspNetCore.Server.Kestrel.Https.Internal.HttpsConnectionMiddleware";
    private const int MaxDepth = 64; // A chain that leads back to itself would be endless.

    public static MiddlewareOrder Read(ConnectionDelegate next)
    {
        var hasTls = false;
        ConnectionDelegate? current = next;
        for (var depth = 0; current?.Target is { } middleware && depth < MaxDepth; depth++)
        {
            if (middleware is GracefulShutdownMiddleware)
            {
                return new MiddlewareOrder(hasTls, HasGraceful: true);
            }

            hasTls |= middleware.GetType().FullName == TlsMiddleware;
            var kept = GetFields(middleware).ToList();
            if (hasTls && kept.Exists(IsGracefulHandler))
            {
                return new MiddlewareOrder(HasTls: true, HasGraceful: true); // It closes what it runs by itself.
            }

            current = kept.OfType<ConnectionDelegate>().FirstOrDefault(other => other != current);
        }

        return new MiddlewareOrder(hasTls, HasGraceful: false);
    }

    // UseConnectionHandler() keeps the handler in a lambda of its own, and that one as the end of the chain.
    private static bool IsGracefulHandler(object? kept) => kept is GracefulConnectionHandler
        || (kept is Func<ConnectionContext, Task> { Target: { } end } && (end is GracefulConnectionHandler || GetFields(end).Any(static value => value is GracefulConnectionHandler)));

    [UnconditionalSuppressMessage("Trimming", "IL2075", Justification = "A field that was trimmed away is looked for in vain, and the first connection tells instead.")]
    private static IEnumerable<object?> GetFields(object middleware) =>
        middleware.GetType().GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic).Select(field => field.GetValue(middleware));
}
