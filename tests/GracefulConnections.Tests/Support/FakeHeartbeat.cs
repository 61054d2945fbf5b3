using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Tests.Support;

/// <summary>The server's heartbeat, which beats when the test says so.</summary>
internal sealed class FakeHeartbeat : IConnectionHeartbeatFeature
{
    private readonly List<(Action<object> Action, object State)> _listeners = [];

    public void OnHeartbeat(Action<object> action, object state) => _listeners.Add((action, state));

    public void Beat()
    {
        foreach (var (action, state) in _listeners)
        {
            action(state);
        }
    }
}
