using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Closing;

/// <summary>
/// A connection's place among Kestrel's <c>MaxConcurrentConnections</c>. Stock frees it when the handler has ended, so
/// a peer that keeps its side open must not keep others out.
/// </summary>
internal static class ConnectionPlace
{
    // Public in Kestrel, to which this library has no reference.
    private const string Kestrel = "Microsoft.AspNetCore.Server.Kestrel.Core";

    [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicMethods)]
    private static readonly Type? Feature = Type.GetType(
        $"{Kestrel}.Features.IDecrementConcurrentConnectionCountFeature, {Kestrel}");

    private static readonly MethodInfo? Release = Feature?.GetMethod("ReleaseConnection");

    [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicProperties)]
    private static readonly Type? Options = Type.GetType(
        "Microsoft.Extensions.Options.IOptions`1"
        + $"[[{Kestrel}.KestrelServerOptions, {Kestrel}]], Microsoft.Extensions.Options");

    [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicProperties)]
    private static readonly Type? Server = Type.GetType($"{Kestrel}.KestrelServerOptions, {Kestrel}");

    [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicProperties)]
    private static readonly Type? Limits = Type.GetType($"{Kestrel}.KestrelServerLimits, {Kestrel}");

    /// <summary>Frees the place, if the server has a limit. A second time does nothing.</summary>
    public static void Free(ConnectionContext connection)
    {
        if (Find(connection) is { } place)
        {
            Release?.Invoke(place, null);
        }
    }

    /// <summary>Returns whether the connection has such a place.</summary>
    public static bool Has(ConnectionContext connection) => Find(connection) is not null;

    /// <summary>Returns how many places the server has; <see langword="null"/> without a limit.</summary>
    public static int? GetCount(IServiceProvider? services)
    {
        try
        {
            var options = Options is null ? null : services?.GetService(Options);
            var server = options is null ? null : Options!.GetProperty("Value")?.GetValue(options);
            var limits = server is null ? null : Server?.GetProperty("Limits")?.GetValue(server);
            var count = limits is null ? null : Limits?.GetProperty("MaxConcurrentConnections")?.GetValue(limits);
            return count is long max ? (int)Math.Min(max, int.MaxValue) : null;
        }
        catch (ObjectDisposedException)
        {
            return null; // The host was disposed while connections were open.
        }
    }

    private static object? Find(ConnectionContext connection) =>
        Feature is null ? null : connection.Features[Feature];
}
