using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Pipeline;

/// <summary>
/// The server's heartbeat for as long as the handler runs. Kestrel's HTTP goes on timing its response after it has
/// returned, and would abort a peer that needs longer than that for the rest of its upload.
/// </summary>
internal sealed class HandlerHeartbeat(IConnectionHeartbeatFeature original) : IConnectionHeartbeatFeature
{
    private volatile bool _isStopped;

    /// <summary>Gets the server's own.</summary>
    public IConnectionHeartbeatFeature Original => original;

    public void OnHeartbeat(Action<object> action, object state) => original.OnHeartbeat(
        static beat => ((Beat)beat).Tick(), new Beat(this, action, state));

    /// <summary>The handler has returned: the limits are the library's from now on.</summary>
    public void Stop() => _isStopped = true;

    private sealed class Beat(HandlerHeartbeat owner, Action<object> action, object state)
    {
        public void Tick()
        {
            if (!owner._isStopped)
            {
                action(state);
            }
        }
    }
}
