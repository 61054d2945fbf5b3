using System.Diagnostics.Metrics;

namespace GracefulConnections.Dashboard;

/// <summary>
/// Takes a picture of the server from time to time while somebody looks, one for all viewers, and costs nothing while
/// nobody does.
/// </summary>
internal sealed class DashboardFeed : IDisposable
{
    /// <summary>How many of those that hold a drain are shown.</summary>
    public const int MaxHolders = 20;

    /// <summary>How many may look at the same time.</summary>
    public const int MaxViewers = 200;

    private static readonly TimeSpan DrainInterval = TimeSpan.FromMilliseconds(100);

    private readonly IDrainCoordinator _drain;
    private readonly TimeSpan _drainTimeout;
    private readonly TimeProvider _time;
    private readonly TimeSpan _interval;
    private readonly CloseTimeline _timeline;
    private readonly Lock _lock = new();
    private readonly HashSet<DashboardViewer> _viewers = [];
    private readonly DashboardViewers _all;
    private IReadOnlyList<TrackedConnectionInfo> _connections = [];
    private long _takenAt;
    private long _drainSince;
    private int _drainCount;
    private CancellationTokenSource? _stop;

    public DashboardFeed(
        IDrainCoordinator drain,
        TimeSpan drainTimeout,
        TimeProvider time,
        TimeSpan interval,
        IMeterFactory? meters,
        CancellationToken hostEnded)
    {
        (_drain, _drainTimeout, _time, _interval) = (drain, drainTimeout, time, interval);
        _timeline = new CloseTimeline(time, meters);
        _all = DashboardViewers.Of(drain);
        drain.DrainStarted.UnsafeRegister(static feed => ((DashboardFeed)feed!).OnDrainStarted(), this);
        hostEnded.UnsafeRegister(static feed => ((DashboardFeed)feed!).OnHostEnded(), this);
    }

    private bool IsDraining => _drain.Phase is DrainPhase.Draining or DrainPhase.Drained;

    /// <summary>Lets somebody look, who gets each picture from now on, and must leave.</summary>
    /// <returns><see langword="null"/> when too many look.</returns>
    public DashboardViewer? Enter(string connectionId)
    {
        var viewer = new DashboardViewer(connectionId);
        lock (_lock)
        {
            if (_viewers.Count >= MaxViewers)
            {
                return null;
            }

            _viewers.Add(viewer);
            _all.Add(viewer);
            if (_stop is null)
            {
                _stop = new CancellationTokenSource();
                _timeline.Start();
                _ = RunAsync(_stop.Token);
            }
        }

        return viewer;
    }

    public void Leave(DashboardViewer viewer)
    {
        _all.Remove(viewer);
        lock (_lock)
        {
            if (_viewers.Remove(viewer) && _viewers.Count == 0)
            {
                _stop!.Cancel();
                _stop.Dispose();
                _stop = null;
                _timeline.Stop();
                _connections = []; // Thousands of them, that nobody looks at any more.
            }
        }
    }

    public void Dispose()
    {
        _stop?.Dispose();
        _timeline.Dispose();
    }

    /// <summary>Returns the connections, as new as a viewer sees them.</summary>
    public IReadOnlyList<TrackedConnectionInfo> GetConnections()
    {
        lock (_lock)
        {
            if (_stop is not null && _takenAt != 0 && _time.GetElapsedTime(_takenAt) < _interval)
            {
                return _connections;
            }
        }

        return _drain.GetConnections();
    }

    /// <summary>Returns whether a connection is that of a viewer.</summary>
    public bool IsOwn(string connectionId) => _all.GetConnectionIds().Contains(connectionId);

    /// <summary>Takes a picture now.</summary>
    public DashboardSummary TakePicture()
    {
        var connections = _drain.GetConnections();
        var own = _all.GetConnectionIds();
        int viewers;
        lock (_lock)
        {
            viewers = _viewers.Count;
            (_connections, _takenAt) = _stop is null ? ([], 0) : (connections, _time.GetTimestamp());
        }

        var holders = connections.Where(static info => info.IsCloseRequested).ToArray();
        return new DashboardSummary
        {
            Time = _time.GetUtcNow(),
            Phase = _drain.Phase,
            Total = connections.Count,
            States = Count(connections, static info => info.State),
            Activities = Count(connections, static info => info.Activity),
            HolderCount = holders.Length,
            Holders = [.. holders
                .OrderByDescending(static info => info.Age)
                .Take(MaxHolders)
                .Select(info => ConnectionRow.From(info, own.Contains(info.ConnectionId)))],
            Drain = GetProgress(connections.Count),
            Closes = _timeline.Get(),
            LostBytes = _timeline.LostBytes,
            Viewers = viewers,
        };
    }

    private static Dictionary<string, int> Count<T>(
        IEnumerable<TrackedConnectionInfo> connections, Func<TrackedConnectionInfo, T> by)
        where T : struct, Enum =>
        connections.CountBy(by).ToDictionary(static count => count.Key.ToString(), static count => count.Value);

    private DrainProgress? GetProgress(int left)
    {
        var since = Volatile.Read(ref _drainSince);
        if (since == 0)
        {
            return null;
        }

        return new DrainProgress(
            Math.Round(_time.GetElapsedTime(since).TotalSeconds, 1),
            _drainTimeout == Timeout.InfiniteTimeSpan ? null : _drainTimeout.TotalSeconds,
            _drainCount,
            left);
    }

    private void OnDrainStarted()
    {
        _drainCount = _drain.ConnectionCount;
        Volatile.Write(ref _drainSince, _time.GetTimestamp());
    }

    // Nobody is left who could look, and none must wait for a picture that does not come.
    private void OnHostEnded()
    {
        lock (_lock)
        {
            foreach (var viewer in _viewers)
            {
                viewer.End();
            }
        }
    }

    private async Task RunAsync(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            var interval = IsDraining && DrainInterval < _interval ? DrainInterval : _interval;
            await Task.Delay(interval, _time, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (!stop.IsCancellationRequested)
            {
                Show(TakePicture());
            }
        }
    }

    // A viewer's own connection is the last one that a drain waits for, so it ends once no other is left.
    private void Show(DashboardSummary picture)
    {
        lock (_lock)
        {
            var own = _all.GetConnectionIds();
            var isOver = picture.Phase == DrainPhase.Drained
                || (picture.Phase == DrainPhase.Draining && _connections.All(info => own.Contains(info.ConnectionId)));
            foreach (var viewer in _viewers)
            {
                viewer.Show(picture);
                if (isOver)
                {
                    viewer.End();
                }
            }
        }
    }
}
