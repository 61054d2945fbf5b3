using System.Collections.Concurrent;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Draining;

/// <summary>
/// The hosts of this process that drain, for a handler that no endpoint of theirs has registered: nothing leads from
/// its connection to its host.
/// </summary>
internal static class StartedHosts
{
    private static readonly ConcurrentDictionary<DrainContext, ConcurrentDictionary<Type, bool>> Hosts = [];

    public static void Add(DrainContext host) => Hosts.TryAdd(host, []);

    public static void Remove(DrainContext host) => Hosts.TryRemove(host, out _);

    /// <summary>A handler closes a connection gracefully that no drain knows of. Says so once.</summary>
    public static void OnUntracked(Type handler)
    {
        // Of several hosts nobody knows whose connection it is.
        if (!Hosts.IsEmpty && Hosts.ToArray() is [var (host, handlers)] && handlers.TryAdd(handler, true))
        {
            Log.HandlerNotTracked(host.Logger, handler.Name);
        }
    }
}
