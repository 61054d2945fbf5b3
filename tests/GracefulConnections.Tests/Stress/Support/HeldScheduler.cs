using System.Collections.Concurrent;
using System.IO.Pipelines;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>Holds back what it is given until it is released: a thread pool that is busy, at a moment that the test chooses.</summary>
internal sealed class HeldScheduler : PipeScheduler
{
    private readonly ConcurrentQueue<(Action<object?> Action, object? State)> _held = new();
    private volatile bool _released;

    public override void Schedule(Action<object?> action, object? state)
    {
        if (_released)
        {
            action(state);
            return;
        }

        _held.Enqueue((action, state));
    }

    public void Release()
    {
        _released = true;
        while (_held.TryDequeue(out var item))
        {
            item.Action(item.State);
        }
    }
}
