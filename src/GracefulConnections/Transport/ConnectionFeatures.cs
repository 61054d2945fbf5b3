using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Transport;

/// <summary>
/// The features of a connection, by their type. The server's collection compares with each feature that it knows, and
/// its generic methods find out the type anew for each of them, which takes twice to seven times as long.
/// </summary>
internal static class ConnectionFeatures
{
    // Inlined, so that the type is known where it is compiled.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T? Find<T>(this BaseConnectionContext connection)
        where T : class => (T?)connection.Features[typeof(T)];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Put<T>(this BaseConnectionContext connection, T? feature)
        where T : class => connection.Features[typeof(T)] = feature;
}
