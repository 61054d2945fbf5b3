using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Pipeline;

/// <summary>
/// Walks along an endpoint's middlewares without running them: each keeps the next one in a field. The walk ends early
/// where one keeps it elsewhere, and where a program that was compiled ahead of time knows nothing of its fields. What
/// is not seen here shows itself at the first connection.
/// </summary>
internal static class MiddlewareChain
{
    public const string Kestrel = "Microsoft.AspNetCore.Server.Kestrel.Core";

    private const int MaxLength = 64; // A chain that leads back to itself would be endless.

    /// <summary>Returns each middleware with what its fields hold, in the order in which they run.</summary>
    // Kestrel's own, so that the walk gets past them in every program.
    [DynamicDependency(DynamicallyAccessedMemberTypes.NonPublicFields, MiddlewareOrder.TlsMiddleware, Kestrel)]
    [DynamicDependency(
        DynamicallyAccessedMemberTypes.NonPublicFields, $"{Kestrel}.Internal.LoggingConnectionMiddleware", Kestrel)]
    [UnconditionalSuppressMessage(
        "Trimming", "IL2035", Justification = "A program without Kestrel has no middlewares of Kestrel's.")]
    public static IEnumerable<(object Middleware, List<object?> Kept)> From(ConnectionDelegate first)
    {
        ConnectionDelegate? current = first;
        for (var i = 0; current?.Target is { } middleware && i < MaxLength; i++)
        {
            var kept = GetFields(middleware);
            yield return (middleware, kept);
            current = kept.OfType<ConnectionDelegate>().FirstOrDefault(other => other != current);
        }
    }

    [UnconditionalSuppressMessage(
        "Trimming", "IL2075", Justification = "Where a field was trimmed away, the first connection tells instead.")]
    public static List<object?> GetFields(object middleware) =>
        [.. middleware.GetType()
            .GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
            .Select(field => field.GetValue(middleware))];
}
