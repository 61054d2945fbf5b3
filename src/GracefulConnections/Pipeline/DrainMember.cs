using GracefulConnections.Draining;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Pipeline;

/// <summary>A connection as a member of the server's drain, with the handler that the drain can abandon.</summary>
internal sealed class DrainMember(GracefulConnection connection, DrainCoordinator drain) : TrackedConnection
{
    private volatile HandlerRun? _run;
    private volatile bool _isAbandoned;

    public override CloseState State => connection.State;

    public override CloseResult? Result => connection.Closer.Result;

    public override long StartTimestamp => connection.Activity.StartedAt;

    public override bool IsBusy => IsServingMessage(connection.Inner ?? connection);

    /// <summary>Gets the task of a handler that <see cref="RunAsync"/> ran and that has ended.</summary>
    public Task Handler => _run!.Handler;

    /// <summary>Gets whether <see cref="RunAsync"/> left the handler behind.</summary>
    public bool IsAbandoned => _run!.IsAbandoned;

    /// <summary>Registers the connection. A drain that has begun asks it to close right here.</summary>
    public void Enter() => drain.Add(this);

    public void Leave(in CloseResult result) => drain.Remove(this, result);

    /// <summary>The server asked the connection to close, for its own stop or for that of an endpoint.</summary>
    public void OnServerRequest() => drain.OnServerRequest(this);

    public override TrackedConnectionInfo GetInfo()
    {
        var innermost = connection.Inner ?? connection; // Inside of TLS are the bytes that the handler knows.
        var (transport, activity) = (innermost.Transport, innermost.Activity);
        var isBusy = IsBusy;
        var lastByteAt = activity.LastByteAt;
        var age = drain.Time.GetElapsedTime(StartTimestamp);
        var written = transport.Output.WrittenBytes;
        var delivery = written > 0
            ? transport.Output.GetDelivery()
            : new DeliveryStatus(0, IsDelivered: false, IsReset: false, 0); // There is nothing to ask the kernel for.
        return new TrackedConnectionInfo
        {
            ConnectionId = connection.Context.ConnectionId,
            LocalEndPoint = connection.Context.LocalEndPoint,
            RemoteEndPoint = connection.Context.RemoteEndPoint,
            State = innermost.State is CloseState.Closed or CloseState.Aborted ? State : innermost.State,
            IsCloseRequested = connection.IsCloseRequested,
            IsBusy = isBusy,
            Age = age,
            BusyTime = !isBusy ? TimeSpan.Zero
                : activity.BusySince is > 0 and var busySince ? drain.Time.GetElapsedTime(busySince)
                : age,
            IdleTime = lastByteAt > 0 ? drain.Time.GetElapsedTime(lastByteAt) : age,
            ReceivedBytes = transport.Input.ReceivedBytes,
            WrittenBytes = written,
            UnacknowledgedBytes = delivery.UnacknowledgedBytes,
            IsPeerWindowClosed = delivery.IsWindowClosed,
        };
    }

    // On the thread pool, because the callbacks of the token are the application's and thousands wait for their turn.
    public override void Ask(CloseReason reason, TimeSpan lingerCap)
    {
        connection.Closer.CapLinger(lingerCap);
        ThreadPool.UnsafeQueueUserWorkItem(
            static state => state.connection.RequestClose(state.reason), (connection, reason), preferLocal: false);
    }

    public override void Abort(CloseReason reason) => ThreadPool.UnsafeQueueUserWorkItem(
        static state => state.connection.RequestClose(state.reason, abort: true),
        (connection, reason),
        preferLocal: false);

    public override void Abandon()
    {
        _isAbandoned = true;
        _run?.Abandon();
    }

    /// <summary>Runs the handler so that it can be abandoned, and waits until it has ended or was.</summary>
    public ValueTask RunAsync(ConnectionDelegate next)
    {
        var run = new HandlerRun(next, connection.Context);
        _run = run;
        if (_isAbandoned)
        {
            run.Abandon();
        }

        return run.RunAsync();
    }

    private static bool IsServingMessage(GracefulConnection innermost) =>
        innermost.Closer.IsServing
        && (innermost.Closer.HasOpenScope
            || (!innermost.Transport.Input.IsWaitingForMessage
                && (innermost.Transport.Input.ReceivedBytes > 0 || innermost.Transport.Output.WrittenBytes > 0)));
}
