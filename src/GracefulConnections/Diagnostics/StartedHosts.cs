using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Diagnostics;

/// <summary>
/// The hosts of this process that drain, for a handler that no endpoint of theirs has registered: nothing leads from
/// its connection to its host. A host is known by its logger.
/// </summary>
internal static class StartedHosts
{
    private static readonly ConcurrentDictionary<ILogger, ConcurrentDictionary<Type, bool>> Hosts = [];

    public static void Add(ILogger host) => Hosts.TryAdd(host, []);

    public static void Remove(ILogger host) => Hosts.TryRemove(host, out _);

    /// <summary>A handler closes a connection gracefully that no drain knows of. Says so once.</summary>
    public static void OnUntracked(Type handler)
    {
        // Of several hosts nobody knows whose connection it is.
        if (!Hosts.IsEmpty && Hosts.ToArray() is [var (host, handlers)] && handlers.TryAdd(handler, true))
        {
            Log.HandlerNotTracked(host, handler.Name);
        }
    }
}
