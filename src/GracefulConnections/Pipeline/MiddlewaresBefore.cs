using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Pipeline;

/// <summary>
/// Looks at what was added to an endpoint before <c>UseGracefulShutdown()</c>. Nothing of it is run, because what makes
/// a middleware may be called only once. Who adds it tells what it is.
/// </summary>
internal static class MiddlewaresBefore
{
    private const int MostBuilders = 64; // Two that wrap each other would be endless.

    private const string Tls = "Microsoft.AspNetCore.Hosting.ListenOptionsHttpsExtensions";

    /// <returns>
    /// Whether there is any middleware, whether one may not be the server's own, and whether one may stand behind TLS.
    /// All may be so on a builder that nobody knows.
    /// </returns>
    /// <exception cref="InvalidOperationException">
    /// One of them ends the pipeline, so that nothing added later ever runs.
    /// </exception>
    public static (bool HasAny, bool HasForeign, bool HasBehindTls) Look(IConnectionBuilder builder)
    {
        if (FindFactories(builder) is not { } factories)
        {
            return (true, true, true);
        }

        // What was added by a static method has no target.
        object?[] added =
            [.. factories.Select(static factory => factory.Target).Where(static target => !IsOurs(target))];
        if (added.Any(IsTerminal))
        {
            throw new InvalidOperationException(
                "UseGracefulShutdown() was called after Run() or UseConnectionHandler(), which end an endpoint's "
                + "pipeline, so it would never run. Call UseGracefulShutdown() first, then UseHttps() or other "
                + "middlewares, and Run() or UseConnectionHandler() last.");
        }

        var tls = Array.FindLastIndex(added, IsTls);
        return (added.Length > 0, !added.All(IsServers), tls >= 0 && tls != added.Length - 1);
    }

    // The builders keep what was added in a field that is not public. One that wraps another builder keeps that one.
    [DynamicDependency(DynamicallyAccessedMemberTypes.NonPublicFields, typeof(ConnectionBuilder))]
    [DynamicDependency(
        DynamicallyAccessedMemberTypes.NonPublicFields,
        $"{MiddlewareChain.Kestrel}.ListenOptions",
        MiddlewareChain.Kestrel)]
    [UnconditionalSuppressMessage(
        "Trimming", "IL2035", Justification = "A program without Kestrel has no endpoints of Kestrel's.")]
    [UnconditionalSuppressMessage(
        "Trimming", "IL2075", Justification = "Where a field was trimmed away, somebody is assumed to stand before.")]
    private static IEnumerable<Func<ConnectionDelegate, ConnectionDelegate>>? FindFactories(
        IConnectionBuilder builder, int depth = 0)
    {
        for (var type = builder.GetType(); type is not null; type = type.BaseType)
        {
            var kept = type
                .GetFields(
                    BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
                .Select(field => field.GetValue(builder));
            foreach (var value in kept)
            {
                var found = value as IEnumerable<Func<ConnectionDelegate, ConnectionDelegate>>
                    ?? (value is IConnectionBuilder inner && depth < MostBuilders
                        ? FindFactories(inner, depth + 1)
                        : null);
                if (found is not null)
                {
                    return found;
                }
            }
        }

        return null;
    }

    private static bool IsOurs(object? added) => added?.GetType().DeclaringType == typeof(GracefulShutdownMiddleware);

    // Each of them awaits the next one.
    private static bool IsServers(object? added) =>
        added?.GetType().Assembly.GetName().Name == MiddlewareChain.Kestrel;

    private static bool IsTls(object? added) => added?.GetType().DeclaringType?.FullName == Tls;

    // Run() and UseConnectionHandler() never call what comes after them, and keep a function without a next one.
    private static bool IsTerminal(object? added) =>
        added?.GetType().DeclaringType == typeof(ConnectionBuilderExtensions)
        && MiddlewareChain.GetFields(added).OfType<Func<ConnectionContext, Task>>().Any();
}
