using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.RealClients;

/// <summary>Runs a handler and tells when the server has done its part, so that a client can be made to learn later.</summary>
internal sealed class ServedConnection(Func<ConnectionContext, Task> handler)
{
    private readonly TaskCompletionSource _handlerReturned = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Gets a task that completes when the handler has returned.</summary>
    public Task HandlerReturned => _handlerReturned.Task.WaitAsync(TestServer.TestLimit);

    /// <summary>Gets a task that completes when the server has closed the connection too, by Kestrel's own account.</summary>
    public Task Closed => _closed.Task.WaitAsync(TestServer.TestLimit);

    public async Task HandleAsync(ConnectionContext connection)
    {
        connection.ConnectionClosed.Register(_closed.SetResult);
        await handler(connection);
        _handlerReturned.SetResult();
    }
}
