namespace GracefulConnections.Pipeline;

/// <summary>
/// A callback of the server's heartbeat, for as long as the handler runs. Kestrel's HTTP goes on timing its response
/// after it has returned, and would abort a peer that needs longer than that for the rest of its upload.
/// </summary>
internal sealed class HandlerHeartbeat(GracefulConnection connection, Action<object> action, object state)
{
    public void Tick()
    {
        if (!connection.IsHandlerOver)
        {
            action(state);
        }
    }
}
