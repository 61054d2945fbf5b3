using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace GracefulConnections.Dashboard;

/// <summary>
/// All who look at one drain, through whichever of its dashboards. Each connection of theirs ends when no other is
/// left: two dashboards that did not know each other's would wait for each other.
/// </summary>
internal sealed class DashboardViewers
{
    private static readonly ConditionalWeakTable<IDrainCoordinator, DashboardViewers> OfDrains = [];

    private readonly ConcurrentDictionary<DashboardViewer, bool> _viewers = [];

    /// <summary>Returns those of a drain.</summary>
    public static DashboardViewers Of(IDrainCoordinator drain) =>
        OfDrains.GetValue(drain, static _ => new DashboardViewers());

    public void Add(DashboardViewer viewer) => _viewers.TryAdd(viewer, true);

    public void Remove(DashboardViewer viewer) => _viewers.TryRemove(viewer, out _);

    /// <summary>Returns the ids of their connections.</summary>
    public HashSet<string> GetConnectionIds() => [.. _viewers.Keys.Select(static viewer => viewer.ConnectionId)];
}
