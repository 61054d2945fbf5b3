namespace GracefulConnections.Closing;

/// <summary>
/// The lingering connections of one endpoint, oldest first: when there are too many, the oldest must go.
/// </summary>
internal sealed class LingeringQueue(int maxCount)
{
    private readonly Lock _lock = new();
    private readonly LinkedList<Closer> _lingering = [];

    public LinkedListNode<Closer> Enter(Closer closer)
    {
        LinkedListNode<Closer> node;
        Closer? evicted = null;
        lock (_lock)
        {
            node = _lingering.AddLast(closer);
            if (_lingering.Count > maxCount)
            {
                evicted = _lingering.First!.Value;
                _lingering.RemoveFirst();
            }
        }

        evicted?.Evict();
        return node;
    }

    public void Leave(LinkedListNode<Closer> node)
    {
        lock (_lock)
        {
            if (node.List is not null)
            {
                _lingering.Remove(node);
            }
        }
    }
}
