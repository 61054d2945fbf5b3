using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Pipeline;

/// <summary>
/// A connection's place among Kestrel's <c>MaxConcurrentConnections</c>. Stock frees it when the handler has ended, so
/// a peer that keeps its side open must not keep others out.
/// </summary>
internal static class ConnectionPlace
{
    // Public in Kestrel, to which this library has no reference.
    [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicMethods)]
    private static readonly Type? Feature = Type.GetType(
        "Microsoft.AspNetCore.Server.Kestrel.Core.Features.IDecrementConcurrentConnectionCountFeature, "
        + "Microsoft.AspNetCore.Server.Kestrel.Core");

    private static readonly MethodInfo? Release = Feature?.GetMethod("ReleaseConnection");

    /// <summary>Frees the place, if the server has a limit. A second time does nothing.</summary>
    public static void Free(ConnectionContext connection)
    {
        if (Feature is not null && connection.Features[Feature] is { } place)
        {
            Release?.Invoke(place, null);
        }
    }
}
