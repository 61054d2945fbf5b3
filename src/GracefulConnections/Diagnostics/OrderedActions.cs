using System.Collections.Concurrent;

namespace GracefulConnections.Diagnostics;

/// <summary>
/// Runs actions one at a time, in the order in which they were added. So log lines keep the order of what they tell
/// although no logger is called under a lock.
/// </summary>
internal sealed class OrderedActions
{
    private readonly ConcurrentQueue<Action> _actions = new();
    private int _isRunning;

    /// <summary>Adds an action. Call this under the lock that decides the order, then <see cref="Run"/>.</summary>
    public void Add(Action action) => _actions.Enqueue(action);

    /// <summary>Runs what was added, or leaves it to the thread that is running.</summary>
    public void Run()
    {
        Interleaving.Point();
        while (!_actions.IsEmpty && Interlocked.CompareExchange(ref _isRunning, 1, 0) == 0)
        {
            try
            {
                while (_actions.TryDequeue(out var action))
                {
                    action();
                }
            }
            finally
            {
                Volatile.Write(ref _isRunning, 0);
            }
        }
    }
}
