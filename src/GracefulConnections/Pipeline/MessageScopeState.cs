using GracefulConnections.Closing;

namespace GracefulConnections.Pipeline;

/// <summary>One open message of a handler. It may be ended more than once, and counts once.</summary>
internal sealed class MessageScopeState
{
    private Closer? _closer;

    public MessageScopeState(Closer closer)
    {
        _closer = closer;
        closer.BeginMessage();
    }

    public void End() => Interlocked.Exchange(ref _closer, null)?.EndMessage();
}
