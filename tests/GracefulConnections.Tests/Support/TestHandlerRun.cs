using GracefulConnections.Pipeline;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Tests.Support;

/// <summary>The run of a handler without a drain around it.</summary>
internal sealed class TestHandlerRun(ConnectionDelegate handler, ConnectionContext connection) : HandlerRun
{
    public override string Id => connection.ConnectionId;

    public override CloseState State => throw new NotSupportedException();

    public override CloseResult? Result => throw new NotSupportedException();

    public override ConnectionActivity Activity => throw new NotSupportedException();

    public override long StartTimestamp => throw new NotSupportedException();

    protected override ConnectionContext Connection => connection;

    /// <summary>Runs the handler to its end, as the middleware does.</summary>
    /// <returns>The handler's task, which has completed; <see langword="null"/> when it was abandoned.</returns>
    public async Task<Task?> EndAsync()
    {
        await RunAsync(handler);
        return IsAbandoned ? null : Handler;
    }

    /// <summary>Does what the thread pool has been told to do.</summary>
    public void Execute() => Start();

    public override TrackedConnectionInfo GetInfo() => throw new NotSupportedException();

    public override void Ask(CloseReason reason, TimeSpan lingerCap) => throw new NotSupportedException();

    public override void Abort(CloseReason reason, bool isLimit) => throw new NotSupportedException();
}
