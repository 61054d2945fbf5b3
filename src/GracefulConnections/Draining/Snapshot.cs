namespace GracefulConnections.Draining;

/// <summary>
/// What all connections are like at one moment. With thousands of them most of the time is spent waiting for memory
/// that no cache has, and every core waits by itself. So threads of the pool help, as far as some are free: nobody
/// waits for one that has not begun.
/// </summary>
internal sealed class Snapshot : IThreadPoolWorkItem
{
    private const int Piece = 512; // About 0.3 ms.
    private const int MaxThreads = 4;

    private readonly TaskCompletionSource _taken = new();
    private readonly int _count;
    private Work? _work;
    private int _next;
    private int _left;

    private Snapshot(Work work)
    {
        _count = _left = work.Connections.Length;
        _work = work;
    }

    public static TrackedConnectionInfo[] Take(TrackedConnection[] connections)
    {
        if (connections.Length <= Piece)
        {
            return Array.ConvertAll(connections, static connection => connection.GetInfo());
        }

        var work = new Work(connections, new TrackedConnectionInfo[connections.Length]);
        var snapshot = new Snapshot(work);
        var threads = Math.Min(Math.Min(MaxThreads, Environment.ProcessorCount), connections.Length / Piece);
        for (var i = 1; i < threads; i++)
        {
            ThreadPool.UnsafeQueueUserWorkItem(snapshot, preferLocal: false);
        }

        snapshot.Look(work);
        snapshot._work = null; // A pool whose threads are all blocked keeps those that help until much later.
        snapshot._taken.Task.GetAwaiter().GetResult(); // Another thread may be at the last piece.
        return work.Infos;
    }

    void IThreadPoolWorkItem.Execute()
    {
        if (_work is { } work)
        {
            Look(work);
        }
    }

    private void Look(Work work)
    {
        try
        {
            int start;
            while ((start = Interlocked.Add(ref _next, Piece) - Piece) < _count)
            {
                var end = Math.Min(start + Piece, _count);
                for (var i = start; i < end; i++)
                {
                    work.Infos[i] = work.Connections[i].GetInfo();
                }

                if (Interlocked.Add(ref _left, start - end) == 0)
                {
                    _taken.TrySetResult();
                }
            }
        }
        catch (Exception exception)
        {
            _taken.TrySetException(exception); // To the caller, whoever found it.
        }
    }

    private sealed record Work(TrackedConnection[] Connections, TrackedConnectionInfo[] Infos);
}
