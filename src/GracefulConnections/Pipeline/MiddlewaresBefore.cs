using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Pipeline;

/// <summary>
/// Looks at what was added to an endpoint before us, by building that part of its pipeline once. What is built so is thrown away.
/// </summary>
internal static class MiddlewaresBefore
{
    private const int MaxDepth = 64; // A chain that leads back to itself would be endless.

    [ThreadStatic]
    private static ConnectionDelegate? _looksFor;

    /// <summary>Gets whether a pipeline is being built on this thread only to be looked at.</summary>
    public static bool IsLooking => _looksFor is not null;

    /// <returns>Whether there is any middleware.</returns>
    /// <exception cref="InvalidOperationException">One of them ends the pipeline, so that nothing added later ever runs.</exception>
    public static bool Look(IConnectionBuilder builder)
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
            return true; // A middleware that cannot be built. The server's own build of the pipeline tells why.
        }
        finally
        {
            _looksFor = outer;
        }

        if (ReferenceEquals(first, end))
        {
            return false;
        }

        ThrowIfTerminal(first);
        return true;
    }

    // Run() and UseConnectionHandler() never call what comes after them. Both keep what they run in a closure of this class,
    // which also keeps the delegate that is made of it.
    private static void ThrowIfTerminal(ConnectionDelegate first)
    {
        ConnectionDelegate? current = first;
        for (var depth = 0; current?.Target is { } middleware && depth < MaxDepth; depth++)
        {
            var kept = GetFields(middleware).ToList();
            if (middleware.GetType().DeclaringType == typeof(ConnectionBuilderExtensions)
                && !kept.OfType<ConnectionDelegate>().Any(other => other != current)
                && kept.OfType<Func<ConnectionContext, Task>>().Any())
            {
                throw new InvalidOperationException(
                    "UseGracefulShutdown() was called after Run() or UseConnectionHandler(), which end an endpoint's pipeline, so it "
                    + "would never run. Call UseGracefulShutdown() first, then UseHttps() or other middlewares, and "
                    + "Run() or UseConnectionHandler() last.");
            }

            current = kept.OfType<ConnectionDelegate>().FirstOrDefault(other => other != current);
        }
    }

    [UnconditionalSuppressMessage("Trimming", "IL2075", Justification = "A field that was trimmed away hides no more than a hint.")]
    private static IEnumerable<object?> GetFields(object middleware) =>
        middleware.GetType()
            .GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
            .Select(field => field.GetValue(middleware));

    // Where what we look at ends: an object of its own for each look, so that no other's end is taken for it. A middleware may keep
    // the first one that it gets to call, so calls go on to the pipeline that the server builds.
    private sealed class Here
    {
        public ConnectionDelegate? Next { get; set; }

        public Task GoOnAsync(ConnectionContext connection) => Next?.Invoke(connection)
            ?? throw new InvalidOperationException(
                $"The connection {connection.ConnectionId} came before the endpoint's pipeline was built.");
    }
}
